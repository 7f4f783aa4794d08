"""salvage may take only what was given up, and an alarm reports what it finds and cannot take."""

import json
from math import ceil
from typing import Any

from functions.salvage.handler import ANSWER_SECONDS, MOVE_SECONDS, TRIES
from sluice.edge.failures.salvage import MOST_BYTES, MOST_LETTERS, SALVAGED, error_output, failed_batches
from sluice.edge.settings import BrokerSettings, SalvageSettings
from tests.infra.templates import Templates


def places(templates: Templates, action: str) -> set[tuple[str, str]]:
    """The objects and buckets on which an action is granted."""
    granted = set()
    for statement in templates.statements("salvage"):
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        if action in statement["Action"]:
            granted |= {place_of(resource, statement) for resource in resources}
    return granted


def place_of(resource: Any, statement: dict[str, Any]) -> tuple[str, str]:
    bucket = "failed" if "FailedBatches" in json.dumps(resource) else "raw"
    if "Condition" in statement:
        return bucket, statement["Condition"]["StringLike"]["s3:prefix"].removesuffix("*")
    return bucket, resource["Fn::Join"][1][-1].removeprefix("/").removesuffix("*")


def test_it_may_take_what_waits_keep_what_it_took_and_touch_nothing_else(templates: Templates) -> None:
    waiting = {("failed", failed_batches("").prefix), ("raw", error_output("").prefix)}
    for action in ("s3:ListBucket", "s3:GetObject", "s3:DeleteObject"):
        assert places(templates, action) == waiting, action
    assert places(templates, "s3:PutObject") == {("failed", SALVAGED), ("raw", SALVAGED)}


def test_it_may_write_dead_letters_and_nothing_else_in_kafka(templates: Templates) -> None:
    kafka = {
        action: json.dumps(statement["Resource"])
        for statement in templates.statements("salvage")
        for action in statement["Action"]
        if action.startswith("kafka-cluster:")
    }
    assert not any("Read" in action or "Group" in action for action in kafka)
    assert "StreamDeadLetter" in kafka["kafka-cluster:WriteData"]
    assert "StreamRawEvents" not in kafka["kafka-cluster:WriteData"]


def test_everything_that_is_given_up_lies_where_it_looks(templates: Templates) -> None:
    for source in templates.every("AWS::Lambda::EventSourceMapping"):
        destination = json.dumps(source.properties.get("DestinationConfig", {}))
        assert destination == "{}" or "FailedBatches" in destination, source.name
    assert templates.delivery()["ErrorOutputPrefix"].startswith(error_output("").prefix)


def test_nothing_else_is_left_in_a_queue(templates: Templates) -> None:
    # Queues carry what is told of incidents, and no events. Each gives up into a queue of its own.
    assert all(queue.name.startswith(("Alerting", "Notifications")) for queue in templates.every("AWS::SQS::Queue"))
    # Only the schedule starts functions without a waiting caller, with an empty event.
    for schedule in templates.every("AWS::Scheduler::Schedule"):
        assert "Input" not in schedule.properties["Target"], schedule.name


def test_what_was_salvaged_is_kept_for_as_long_as_what_waits_and_then_ends(templates: Templates) -> None:
    ends = {
        bucket.name.removeprefix("LakeBuckets")[:3]: {
            rule.get("Prefix"): rule["ExpirationInDays"]
            for rule in bucket.properties["LifecycleConfiguration"]["Rules"]
            if "ExpirationInDays" in rule
        }
        for bucket in templates.every("AWS::S3::Bucket")
    }
    assert ends["Raw"]["salvaged/"] == ends["Raw"]["errors/"] == 30
    # Of the whole bucket.
    assert ends["Fai"] == {None: 30}


def test_a_run_has_time_for_an_object_and_does_not_keep_the_next_one_from_starting(templates: Templates) -> None:
    function = templates.functions()["salvage"].properties
    not_run = templates.alarms()["salvage-not-run"].properties
    assert function["ReservedConcurrentExecutions"] == 1
    assert templates.settings("salvage", SalvageSettings).salvage_reserve_seconds < function["Timeout"]
    (period,) = {one["MetricStat"]["Period"] for one in not_run["Metrics"] if "MetricStat" in one}
    assert function["Timeout"] <= period
    # The function notices an outage many times over before its timeout.
    assert function["Timeout"] / 5 > TRIES * ANSWER_SECONDS


def test_a_run_has_time_for_the_largest_object_though_every_flush_takes_as_long_as_it_may(templates: Templates) -> None:
    deadline = templates.settings("salvage", BrokerSettings).produce_deadline_seconds
    reserve = templates.settings("salvage", SalvageSettings).salvage_reserve_seconds
    # A buffer of Firehose makes this many letters, or twice its bytes.
    flushes = max(ceil(169_000 / MOST_LETTERS), ceil(2 * 128 * 1024**2 / MOST_BYTES))
    read_seconds = 20
    assert flushes * deadline + read_seconds < reserve
    # The first object of a run has a little more time than the minimum to begin: moving it takes that.
    assert reserve + deadline + MOVE_SECONDS < templates.functions()["salvage"].properties["Timeout"]


def test_what_is_posted_at_once_fits_the_producers_own_queue() -> None:
    assert MOST_LETTERS < 100_000
    assert MOST_BYTES < 1024**3


def test_an_alarm_fires_when_what_was_given_up_waits_for_a_quarter_of_an_hour(templates: Templates) -> None:
    alarm = templates.alarms()["salvage-waiting"].properties
    assert (alarm["Threshold"], alarm["Statistic"]) == (900, "Maximum")
    assert (alarm["Period"], alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (900, 1, "breaching")
