"""A Kafka consumer: its function, and the event source that brings a topic's records to it."""

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.building_blocks.access import Access
from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.building_blocks.operations import UNKNOWN, counted
from infra.deployment import require
from infra.stores.buckets import Bucket
from infra.stores.stream import Stream
from infra.stores.topics import CONSUMER_RECORD_AGE_SECONDS, MAXIMUM_RECORD_BYTES
from sluice.core.consumers import Consumer
from sluice.core.metrics import QUARANTINE_EXCEEDED, RECORDS_HELD
from sluice.edge.settings import Settings

# Retried for as long as the age allows: infinite retries with a destination are silently capped at 10.
RETRIES = 10_000
FOR_EVER = -1


@dataclass(frozen=True, kw_only=True)
class ConsumerProfile:
    """A function behind a Kafka event source: its size, its batches and its pollers (the autoscaling bounds)."""

    compute: Compute
    batch_size: int
    batching_window_seconds: int
    late_after_seconds: int
    """How far it may fall behind before an alarm is raised."""
    minimum_pollers: int
    maximum_pollers: int

    def __post_init__(self) -> None:
        require(1 <= self.minimum_pollers <= self.maximum_pollers, "pollers scale between a minimum and a maximum")
        require(1 <= self.batch_size <= 10_000, "a Kafka batch has 1 to 10,000 records")
        require(0 <= self.batching_window_seconds <= 300, "a batching window lasts 0 to 300 s")
        require(self.batching_window_seconds < self.late_after_seconds, "waiting for a full batch is not being late")


@dataclass(frozen=True, kw_only=True)
class HoldingProfile(ConsumerProfile):
    """A consumer that retries within an invocation, and holds records of newer versions."""

    hold_seconds: int
    """How long an invocation tries again while its store is away, before its batch is given back."""
    version_hold_seconds: int
    """How long a record of a newer version waits for the release that can read it, before it is a dead letter."""
    produce_deadline_seconds: int

    def require_time(self, name: str, seconds: int) -> None:
        """Require that an invocation has time for a last try of so many seconds."""
        # The last try may begin when the time to hold is over; then dead letters are stored.
        longest = self.hold_seconds + seconds + self.produce_deadline_seconds
        require(
            longest < self.compute.timeout_seconds,
            f"{name} may wait for {longest} s, and must name the records to retry before it is stopped",
        )


class ConsumerFunction(Function):
    """A function that consumes a topic, and the event source that polls the topic for it.

    `failures` is the bucket for batches that were given up after hours. Without it no batch is ever given up: one that
    fails holds up its partition until the fault is mended.
    """

    def __init__(
        self,
        scope: Construct,
        consumer: Consumer,
        base: Base,
        profile: ConsumerProfile,
        *,
        failures: Bucket | None,
        reads: type[Settings],
        uses: Sequence[Access],
    ) -> None:
        polling = Access(grants=_polling(base.stream, consumer, failures))
        super().__init__(scope, consumer.name, base, profile, reads=reads, uses=[polling, *uses])
        base.stream.read_by(self.resource, consumer.topic)
        source = _EventSource(self, base, consumer, profile, failures)
        group = {
            "Cluster Name": base.stream.cluster.cluster_name,
            "Consumer Group": consumer.name,
            "Topic": consumer.topic,
        }
        _watch(self, consumer, source.dimension, group, profile.late_after_seconds)
        if failures is not None:
            _watch_failures(self, source.dimension)
        cap = base.stream.topics.by_name()[consumer.topic].partition_bytes
        if cap is not None:
            _watch_unread(self, consumer, group, cap)


class _EventSource(Construct):
    """Polls a topic for a function, in provisioned mode."""

    def __init__(
        self, function: Function, base: Base, consumer: Consumer, settings: ConsumerProfile, failures: Bucket | None
    ) -> None:
        super().__init__(function, "Source")
        mapping = lambda_.CfnEventSourceMapping(
            self,
            "Mapping",
            function_name=function.resource.function_arn,
            event_source_arn=base.stream.cluster.attr_arn,
            topics=[consumer.topic],
            amazon_managed_kafka_event_source_config=(
                lambda_.CfnEventSourceMapping.AmazonManagedKafkaEventSourceConfigProperty(
                    consumer_group_id=consumer.name
                )
            ),
            # From the beginning: LATEST may skip what arrives while the mapping is being made.
            starting_position="TRIM_HORIZON",
            batch_size=settings.batch_size,
            maximum_batching_window_in_seconds=settings.batching_window_seconds,
            function_response_types=["ReportBatchItemFailures"],
            # Provisioned mode is what makes retries, age, bisecting and partial failures exist at all.
            provisioned_poller_config=lambda_.CfnEventSourceMapping.ProvisionedPollerConfigProperty(
                minimum_pollers=settings.minimum_pollers,
                maximum_pollers=settings.maximum_pollers,
                # Consumers in one group share a poller unit instead of paying for one each.
                poller_group_name=base.deployment.named("consumers"),
            ),
            maximum_retry_attempts=FOR_EVER if failures is None else RETRIES,
            maximum_record_age_in_seconds=FOR_EVER if failures is None else CONSUMER_RECORD_AGE_SECONDS,
            # The handler itself says which record failed; halving batches would only repeat the good ones.
            bisect_batch_on_function_error=False,
            destination_config=None
            if failures is None
            else lambda_.CfnEventSourceMapping.DestinationConfigProperty(
                on_failure=lambda_.CfnEventSourceMapping.OnFailureProperty(destination=failures.bucket_arn)
            ),
            # What is retried, given up and lost is counted here only: a handler that reports failures does not fail.
            metrics_config=lambda_.CfnEventSourceMapping.MetricsConfigProperty(metrics=["EventCount"]),
        )
        self.dimension = {"EventSourceMappingUUID": mapping.ref}


def _watch(
    function: Function, consumer: Consumer, source: dict[str, str], group: dict[str, str], late_after_seconds: int
) -> None:
    """Watch what may happen to every consumer."""
    function.alarm(
        "late",
        counted("AWS/Kafka", "EstimatedMaxTimeLag", group, minutes=1, statistic="Maximum"),
        above=late_after_seconds,
        times=5,
        no_data=UNKNOWN,
        means=f"{consumer.name} is more than {late_after_seconds} s behind {consumer.topic}.",
    )
    function.alarm(
        "retrying",
        # One attempt may take minutes: shorter periods would have gaps between failures.
        counted("AWS/Lambda", "FailedInvokeEventCount", source, minutes=5),
        times=2,
        means=f"{consumer.name} has been failing and retrying for ten minutes: what it writes to may be down.",
    )
    function.alarm(
        "dropped",
        counted("AWS/Lambda", "DroppedEventCount", source, minutes=5),
        means=f"{consumer.name} lost records: they were given up and could not even be set aside.",
    )


def _watch_failures(function: Function, source: dict[str, str]) -> None:
    """Watch a consumer that gives records up, halts, and holds records of newer versions."""
    function.alarm(
        "set-aside",
        counted("AWS/Lambda", "OnFailureDestinationDeliveredEventCount", source, minutes=5),
        means=f"{function.verb} gave records up after hours of retries: salvage makes dead letters of them.",
    )
    function.alarm(
        "quarantine",
        # It halts instead of draining its stream into the dead letters.
        function.own(QUARANTINE_EXCEEDED, minutes=5),
        means=f"{function.verb} is halted: it cannot process so many records that the fault must be ours."
        " They stay in Kafka, and are given up after hours.",
    )
    function.alarm(
        "version-ahead",
        # No writer is of a newer release for longer than a deployment takes.
        function.own(RECORDS_HELD, minutes=5),
        means=f"{function.verb} holds records whose version is newer than its release. They become dead letters unless"
        " a release that can read them is deployed in minutes.",
    )


def _watch_unread(function: Function, consumer: Consumer, group: dict[str, str], cap: int) -> None:
    """Watch that Kafka's cap on bytes never deletes an unread record, however large the records are."""
    function.alarm(
        "unread",
        counted("AWS/Kafka", "MaxOffsetLag", group, minutes=1, statistic="Maximum"),
        above=cap // 2 // MAXIMUM_RECORD_BYTES,
        times=5,
        no_data=UNKNOWN,
        means=f"What {consumer.name} has not read may fill half of what a partition of"
        f" {consumer.topic} holds; beyond all of it, Kafka deletes the oldest unread.",
    )


def _polling(stream: Stream, consumer: Consumer, failures: Bucket | None) -> list[iam.PolicyStatement]:
    """Grant what an event source does under its function's role: find the brokers, poll, set batches aside."""
    # Finding the brokers' subnets and security groups: these calls have no resource to name.
    finding = iam.PolicyStatement(
        actions=["ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"], resources=["*"]
    )
    grants = [*stream.may_consume(consumer), finding]
    if failures is not None:
        grants += [
            iam.PolicyStatement(actions=["s3:ListBucket"], resources=[failures.bucket_arn]),
            iam.PolicyStatement(actions=["s3:PutObject"], resources=[failures.arn_for_objects("*")]),
            failures.may_use_key("kms:Decrypt", "kms:GenerateDataKey"),
        ]
    return grants
