"""The event source keeps an event for four hours of failures, and never blocks or drops silently."""

from tests.infra.templates import Templates

PROVISIONED_ONLY = {
    "MaximumRetryAttempts",
    "MaximumRecordAgeInSeconds",
    "BisectBatchOnFunctionError",
    "FunctionResponseTypes",
    "MetricsConfig",
}


def test_settings_that_need_provisioned_mode_come_with_it(templates: Templates) -> None:
    for source in templates.every("AWS::Lambda::EventSourceMapping"):
        assert set(source.properties) & PROVISIONED_ONLY
        pollers = source.properties["ProvisionedPollerConfig"]
        assert 1 <= pollers["MinimumPollers"] <= pollers["MaximumPollers"]


def test_pollers_scale_up_to_the_partitions_and_share_one_paid_group(templates: Templates) -> None:
    partitions = {
        topic.properties["TopicName"]: topic.properties["PartitionCount"]
        for topic in templates.every("AWS::MSK::Topic")
    }
    for source in templates.every("AWS::Lambda::EventSourceMapping"):
        pollers = source.properties["ProvisionedPollerConfig"]
        (topic,) = source.properties["Topics"]
        assert pollers["MaximumPollers"] <= partitions[topic]
        assert pollers["PollerGroupName"] == "sluice-proof-consumers"


def test_a_failing_batch_is_retried_for_four_hours_and_then_kept_in_a_bucket(templates: Templates) -> None:
    source = templates.only("AWS::Lambda::EventSourceMapping").properties
    # Infinite retries with a destination would be cut to 10.
    assert source["MaximumRetryAttempts"] == 10_000
    assert source["MaximumRecordAgeInSeconds"] == 4 * 3600
    assert "FailedBatches" in source["DestinationConfig"]["OnFailure"]["Destination"]["Fn::ImportValue"]


def test_the_handler_says_which_record_failed_and_nothing_is_split_or_skipped(templates: Templates) -> None:
    source = templates.only("AWS::Lambda::EventSourceMapping").properties
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["BisectBatchOnFunctionError"] is False
    assert source["StartingPosition"] == "TRIM_HORIZON"
    assert source["AmazonManagedKafkaEventSourceConfig"] == {"ConsumerGroupId": "archive"}
    assert source["Topics"] == ["raw-events"]
