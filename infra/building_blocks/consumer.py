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
from sluice.core.metrics import QUARANTINE_EXCEEDED, RECORDS_FAILED, RECORDS_HELD
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
    """A consumer that holds its batch while its store is down or a record's version is too new."""

    hold_seconds: int
    """How long an invocation retries while its store is down, before it returns its batch."""
    version_hold_seconds: int
    """How long a record of a newer version waits for a release that can read it, before it becomes a dead letter."""
    produce_deadline_seconds: int

    def require_time(self, name: str, seconds: int) -> None:
        """Require that an invocation can end even if its last try takes that long."""
        # The last try may begin when the hold time ends. After it, the invocation stores dead letters.
        longest = self.hold_seconds + seconds + self.produce_deadline_seconds
        require(
            longest < self.compute.timeout_seconds,
            f"{name} may wait for {longest} s, and must report the records to retry before its timeout",
        )


@dataclass(frozen=True)
class Failures:
    """Where batches go that are given up after hours, and what lacks their records then."""

    bucket: Bucket
    means: str


class ConsumerFunction(Function):
    """A function that consumes a topic, and the event source that polls the topic for it.

    Without `failures` no batch is ever given up: a failing batch blocks its partition until the fault is fixed.
    """

    def __init__(
        self,
        scope: Construct,
        consumer: Consumer,
        base: Base,
        profile: ConsumerProfile,
        *,
        failures: Failures | None,
        reads: type[Settings],
        uses: Sequence[Access],
    ) -> None:
        bucket = failures.bucket if failures else None
        polling = Access(grants=_polling(base.stream, consumer, bucket))
        super().__init__(scope, consumer.name, base, profile, reads=reads, uses=[polling, *uses])
        base.stream.read_by(self.live, consumer.topic)
        source = _EventSource(self, base, consumer, profile, bucket)
        group = {
            "Cluster Name": base.stream.cluster.cluster_name,
            "Consumer Group": consumer.name,
            "Topic": consumer.topic,
        }
        _watch(self, consumer, source.dimension, group, profile.late_after_seconds)
        if failures is not None:
            _watch_failures(self, source.dimension, failures.means)
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
            function_name=function.live.function_arn,
            event_source_arn=base.stream.cluster.attr_arn,
            topics=[consumer.topic],
            amazon_managed_kafka_event_source_config=(
                lambda_.CfnEventSourceMapping.AmazonManagedKafkaEventSourceConfigProperty(
                    consumer_group_id=consumer.name
                )
            ),
            # From the beginning: LATEST may skip records that arrive while the mapping is created.
            starting_position="TRIM_HORIZON",
            batch_size=settings.batch_size,
            maximum_batching_window_in_seconds=settings.batching_window_seconds,
            function_response_types=["ReportBatchItemFailures"],
            # Retries, age, bisecting and partial failures exist only in provisioned mode.
            provisioned_poller_config=lambda_.CfnEventSourceMapping.ProvisionedPollerConfigProperty(
                minimum_pollers=settings.minimum_pollers,
                maximum_pollers=settings.maximum_pollers,
                # Consumers in one group share a poller unit instead of paying for one each.
                poller_group_name=base.deployment.named("consumers"),
            ),
            maximum_retry_attempts=FOR_EVER if failures is None else RETRIES,
            maximum_record_age_in_seconds=FOR_EVER if failures is None else CONSUMER_RECORD_AGE_SECONDS,
            # The handler reports which record failed. Bisecting would only repeat the good ones.
            bisect_batch_on_function_error=False,
            destination_config=None
            if failures is None
            else lambda_.CfnEventSourceMapping.DestinationConfigProperty(
                on_failure=lambda_.CfnEventSourceMapping.OnFailureProperty(destination=failures.bucket_arn)
            ),
            # Only these metrics count retries, give-ups and losses: a handler that reports failures does not fail.
            metrics_config=lambda_.CfnEventSourceMapping.MetricsConfigProperty(metrics=["EventCount"]),
        )
        self.dimension = {"EventSourceMappingUUID": mapping.ref}


def _watch(
    function: Function, consumer: Consumer, source: dict[str, str], group: dict[str, str], late_after_seconds: int
) -> None:
    """Add the alarms that every consumer has."""
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
        means=f"{consumer.name} has failed and retried for ten minutes. The store it writes to may be down.",
    )
    function.alarm(
        "release-failing",
        # A release that gives its records back raises no error, and `retrying` takes longer than a shift. A batch that
        # failed was retried before, so it is no moment's fault. Held records count too: only a release that goes back
        # meets them.
        function.own(RECORDS_FAILED, minutes=1),
        times=2,
        silent=True,
        rolls_back=True,
        means=f"{consumer.name} has given records back for two minutes in a row.",
    )
    function.alarm(
        "dropped",
        counted("AWS/Lambda", "DroppedEventCount", source, minutes=5),
        means=f"{consumer.name} lost records: they were given up, and could not be written to the failure bucket.",
    )


def _watch_failures(function: Function, source: dict[str, str], means: str) -> None:
    """Add the alarms of a consumer that gives up records, halts, and holds records of newer versions."""
    function.alarm(
        "set-aside",
        counted("AWS/Lambda", "OnFailureDestinationDeliveredEventCount", source, minutes=5),
        means=f"{function.verb} gave up records after hours of retries. salvage turns them into dead letters. {means}",
    )
    function.alarm(
        "quarantine",
        # The consumer halts; otherwise the whole stream would become dead letters.
        function.own(QUARANTINE_EXCEEDED, minutes=5),
        rolls_back=True,
        means=f"{function.verb} is halted: so many records fail that our code must be at fault."
        " They stay in Kafka, and are given up after hours.",
    )
    function.alarm(
        "version-ahead",
        # Writers are newer than readers only while a deployment runs.
        function.own(RECORDS_HELD, minutes=5),
        means=f"{function.verb} holds records of a version newer than its release. They become dead letters unless"
        " a release that can read them is deployed within minutes.",
    )


def _watch_unread(function: Function, consumer: Consumer, group: dict[str, str], cap: int) -> None:
    """Raise an alarm before Kafka's byte cap deletes an unread record, for any record size."""
    function.alarm(
        "unread",
        counted("AWS/Kafka", "MaxOffsetLag", group, minutes=1, statistic="Maximum"),
        above=cap // 2 // MAXIMUM_RECORD_BYTES,
        times=5,
        no_data=UNKNOWN,
        means=f"The backlog of {consumer.name} may fill half of a partition of {consumer.topic}."
        " When the partition is full, Kafka deletes the oldest unread records.",
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
