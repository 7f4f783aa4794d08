"""Event sources poll by provisioned mode's rules, and can be watched."""

import pytest

from sluice.core.consumers import ACCOUNTED
from tests.infra.templates import Templates

PROVISIONED_ONLY = {
    "MaximumRetryAttempts",
    "MaximumRecordAgeInSeconds",
    "BisectBatchOnFunctionError",
    "FunctionResponseTypes",
    "MetricsConfig",
}


def test_settings_that_need_provisioned_mode_come_with_it(templates: Templates) -> None:
    for source in templates.sources().values():
        assert set(source.properties) & PROVISIONED_ONLY
        pollers = source.properties["ProvisionedPollerConfig"]
        assert 1 <= pollers["MinimumPollers"] <= pollers["MaximumPollers"]


def test_pollers_scale_up_to_the_partitions_and_share_one_paid_group(templates: Templates) -> None:
    partitions = {
        topic.properties["TopicName"]: topic.properties["PartitionCount"]
        for topic in templates.every("AWS::MSK::Topic")
    }
    for source in templates.sources().values():
        pollers = source.properties["ProvisionedPollerConfig"]
        (topic,) = source.properties["Topics"]
        assert pollers["MaximumPollers"] <= partitions[topic]
        assert pollers["PollerGroupName"] == "sluice-proof-consumers"


def test_the_handler_says_which_record_failed_and_nothing_is_split_or_skipped(templates: Templates) -> None:
    for consumer, source in templates.sources().items():
        assert source.properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"], consumer
        assert source.properties["BisectBatchOnFunctionError"] is False, consumer
        assert source.properties["StartingPosition"] == "TRIM_HORIZON", consumer


@pytest.mark.shows_fault(part="dead letters", fault="their store unavailable")
def test_infinite_retries_come_without_a_destination_which_would_make_them_ten(templates: Templates) -> None:
    assert templates.sources()["deadletter"].properties["MaximumRetryAttempts"] == -1
    for consumer, source in templates.sources().items():
        endless = source.properties["MaximumRetryAttempts"] == -1
        assert endless == ("DestinationConfig" not in source.properties), consumer
        assert endless == (source.properties["MaximumRecordAgeInSeconds"] == -1), consumer


def test_the_metrics_that_alarms_read_are_written(templates: Templates) -> None:
    sources = {source.name: source.properties for source in templates.sources().values()}
    read = [
        dimension["Value"]["Ref"]
        for alarm in templates.every("AWS::CloudWatch::Alarm")
        for dimension in alarm.properties.get("Dimensions", [])
        if dimension["Name"] == "EventSourceMappingUUID"
    ]
    assert set(read) == set(sources)
    for name in read:
        assert sources[name]["MetricsConfig"] == {"Metrics": ["EventCount"]}


def test_what_may_be_given_up_is_retried_for_four_hours_and_then_kept_in_a_bucket(templates: Templates) -> None:
    for consumer in ACCOUNTED:
        source = templates.sources()[consumer.name].properties
        assert source["MaximumRetryAttempts"] == 10_000
        assert source["MaximumRecordAgeInSeconds"] == 4 * 3600
        assert "FailedBatches" in source["DestinationConfig"]["OnFailure"]["Destination"]["Fn::ImportValue"]


def test_what_gave_up_records_says_what_lacks_them_and_aggregate_the_repair(templates: Templates) -> None:
    said = {name: alarm.properties["AlarmDescription"] for name, alarm in templates.alarms().items()}
    assert "Raw lacks them" in said["archive-set-aside"]
    assert "The numbers lack them, raw has them" in said["aggregate-set-aside"]
    assert "`sluice replay plan --missing`" in said["aggregate-set-aside"]
    assert "were not judged" in said["detect-set-aside"]
    # One alarm for one fact.
    told = sorted(name for name, text in said.items() if "gave up" in text)
    assert told == ["aggregate-set-aside", "archive-set-aside", "detect-set-aside"]


def test_lag_is_asked_for_by_all_three_of_its_dimensions(templates: Templates) -> None:
    cluster = templates.only("AWS::MSK::Cluster").properties["ClusterName"]
    for consumer, source in templates.sources().items():
        (topic,) = source.properties["Topics"]
        late = templates.alarms()[f"{consumer}-late"].properties
        assert late["Namespace"] == "AWS/Kafka"
        assert late["MetricName"] == "EstimatedMaxTimeLag"
        assert {dimension["Name"]: dimension["Value"] for dimension in late["Dimensions"]} == {
            "Cluster Name": cluster,
            "Consumer Group": consumer,
            "Topic": topic,
        }


def test_what_takes_from_a_queue_reports_failures_and_leaves_room_for_others(templates: Templates) -> None:
    functions = {function.name: function.properties for function in templates.functions().values()}
    for source in templates.queue_sources():
        assert source.properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"], source.name
        function = functions[templates.function_of(source.properties["FunctionName"])]
        at_once = source.properties["ScalingConfig"]["MaximumConcurrency"]
        # Without a bound, the source invokes until Lambda throttles it, and each throttle counts as a try.
        assert 2 <= at_once <= function["ReservedConcurrentExecutions"], source.name
