"""Archive gives an event four hours of failures, and never blocks or drops silently."""

from infra.functions.archive import ROUND_SECONDS
from sluice.core.archive.packing import MAX_CALL
from sluice.edge import aws
from sluice.edge.archive import delivery
from tests.infra.templates import Templates

# A batch of 6 MB is at most 4.5 MB of events; as text in a row each quotation mark of theirs takes a second byte, and
# what stands around them is less than what Lambda made of their headers.
LONGEST_BATCH = 2 * 4.5e6 + 6e6


def test_it_reads_raw_events_as_itself(templates: Templates) -> None:
    source = templates.sources()["archive"].properties
    assert source["Topics"] == ["raw-events"]
    assert source["FunctionName"]["Fn::GetAtt"][0] == templates.functions()["archive"].name


def test_a_failing_batch_is_retried_for_four_hours_and_then_kept_in_a_bucket(templates: Templates) -> None:
    source = templates.sources()["archive"].properties
    # Infinite retries with a destination would be cut to 10.
    assert source["MaximumRetryAttempts"] == 10_000
    assert source["MaximumRecordAgeInSeconds"] == 4 * 3600
    assert "FailedBatches" in source["DestinationConfig"]["OnFailure"]["Destination"]["Fn::ImportValue"]


def test_somebody_hears_of_what_was_set_aside(templates: Templates) -> None:
    alarm = templates.alarms()["archive-set-aside"].properties
    assert alarm["MetricName"] == "OnFailureDestinationDeliveredEventCount"
    assert alarm["Dimensions"] == [
        {"Name": "EventSourceMappingUUID", "Value": {"Ref": templates.sources()["archive"].name}}
    ]
    assert alarm["Threshold"] == 0


def test_being_a_minute_late_for_five_minutes_is_told(templates: Templates) -> None:
    alarm = templates.alarms()["archive-late"].properties
    assert (alarm["Threshold"], alarm["Period"], alarm["EvaluationPeriods"]) == (60, 60, 5)


def test_it_runs_on_3_to_15_pollers_at_the_baseline(templates: Templates) -> None:
    if templates.profile.name == "baseline":
        pollers = templates.sources()["archive"].properties["ProvisionedPollerConfig"]
        assert (pollers["MinimumPollers"], pollers["MaximumPollers"]) == (3, 15)


def test_it_says_what_comes_again_before_it_is_stopped(templates: Templates) -> None:
    function = templates.functions()["archive"].properties
    told = function["Environment"]["Variables"]
    assert LONGEST_BATCH <= 4 * MAX_CALL
    assert ROUND_SECONDS >= 4 * (aws.CONNECT_SECONDS + delivery.ANSWER_SECONDS)
    waits = [int(told["HOLD_SECONDS"]), ROUND_SECONDS, int(told["PRODUCE_DEADLINE_SECONDS"])]
    assert sum(waits) < function["Timeout"]


def test_somebody_is_called_when_a_consumer_halts(templates: Templates) -> None:
    for consumer in ("archive", "aggregate"):
        alarm = templates.alarms()[f"{consumer}-quarantine"].properties
        assert alarm["MetricName"] == "QuarantineExceeded"
        assert alarm["Dimensions"] == [{"Name": "service", "Value": consumer}]
        assert alarm["Namespace"] == "Sluice/proof"
        assert (alarm["Threshold"], alarm["EvaluationPeriods"]) == (0, 1)
    assert "deadletter-quarantine" not in templates.alarms()
