"""The event source of a Kafka consumer: how a topic's records come to a function, and what becomes of failures."""

from dataclasses import dataclass

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.operations import NOTHING_HAPPENED, UNKNOWN, Operations, counted
from infra.settings import CONSUMER_RECORD_AGE_SECONDS, MAXIMUM_RECORD_BYTES, Consumer, Deployment
from infra.stores.stream import Stream
from sluice.core.metrics import RECORDS_HELD

# Retried for as long as the age allows: infinite retries with a destination are silently capped at 10.
RETRIES = 10_000
FOR_EVER = -1


@dataclass(frozen=True)
class Failures:
    """The bucket for batches that were given up, and the key it is encrypted with."""

    bucket: s3.IBucket
    key: kms.IKey


@dataclass(frozen=True)
class Subscription:
    """Which topic is read, as which consumer, and where goes what cannot be processed in hours."""

    stream: Stream
    topic: str
    consumer: str
    failures: Failures | None
    """None: nothing is given up, ever; one bad batch holds up its partition until somebody mends it."""

    def grants(self) -> list[iam.PolicyStatement]:
        """Grant what the event source does under its function's role: it polls, and writes down what it gave up."""
        grants = [*self.stream.may_consume(self.topic, group=self.consumer), _finding_the_brokers()]
        if self.failures is not None:
            bucket, key = self.failures.bucket, self.failures.key
            grants += [
                iam.PolicyStatement(actions=["s3:ListBucket"], resources=[bucket.bucket_arn]),
                iam.PolicyStatement(actions=["s3:PutObject"], resources=[bucket.arn_for_objects("*")]),
                iam.PolicyStatement(actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[key.key_arn]),
            ]
        return grants


class EventSource(Construct):
    """Polls a topic for a function, in provisioned mode, and says when the function falls behind."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        base: Base,
        function: lambda_.IFunction,
        subscription: Subscription,
        settings: Consumer,
    ) -> None:
        super().__init__(scope, name)
        failures = subscription.failures
        subscription.stream.read_by(function, subscription.topic)
        mapping = lambda_.CfnEventSourceMapping(
            self,
            "Mapping",
            function_name=function.function_arn,
            event_source_arn=subscription.stream.cluster.attr_arn,
            topics=[subscription.topic],
            amazon_managed_kafka_event_source_config=(
                lambda_.CfnEventSourceMapping.AmazonManagedKafkaEventSourceConfigProperty(
                    consumer_group_id=subscription.consumer
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
                on_failure=lambda_.CfnEventSourceMapping.OnFailureProperty(destination=failures.bucket.bucket_arn)
            ),
            # What is retried, given up and lost is counted here only: a handler that reports failures does not fail.
            metrics_config=lambda_.CfnEventSourceMapping.MetricsConfigProperty(metrics=["EventCount"]),
        )
        self._watch(scope, base.operations, subscription, settings, mapping)
        if failures is not None:
            _watch_quarantine(scope, base.deployment, base.operations, subscription.consumer)
            _watch_versions(scope, base.deployment, base.operations, subscription.consumer)
        cap = base.deployment.profile.topics.by_name()[subscription.topic].partition_bytes
        if cap is not None:
            self._watch_unread(scope, base.operations, subscription, cap)

    def _watch(
        self,
        scope: Construct,
        operations: Operations,
        subscription: Subscription,
        settings: Consumer,
        mapping: lambda_.CfnEventSourceMapping,
    ) -> None:
        consumer = subscription.consumer
        source = {"EventSourceMappingUUID": mapping.ref}
        operations.alarm(
            scope,
            "late",
            metric=counted("AWS/Kafka", "EstimatedMaxTimeLag", _group(subscription), minutes=1, statistic="Maximum"),
            above=settings.late_after_seconds,
            times=5,
            no_data=UNKNOWN,
            means=f"{consumer} is more than {settings.late_after_seconds} s behind {subscription.topic}.",
        )
        operations.alarm(
            scope,
            "retrying",
            # One attempt may take minutes: shorter periods would have gaps between failures.
            metric=counted("AWS/Lambda", "FailedInvokeEventCount", source, minutes=5),
            above=0,
            times=2,
            no_data=NOTHING_HAPPENED,
            means=f"{consumer} has been failing and retrying for ten minutes: what it writes to may be down.",
        )
        operations.alarm(
            scope,
            "dropped",
            metric=counted("AWS/Lambda", "DroppedEventCount", source, minutes=5),
            above=0,
            no_data=NOTHING_HAPPENED,
            means=f"{consumer} lost records: they were given up and could not even be set aside.",
        )
        if subscription.failures is not None:
            operations.alarm(
                scope,
                "set-aside",
                metric=counted("AWS/Lambda", "OnFailureDestinationDeliveredEventCount", source, minutes=5),
                above=0,
                no_data=NOTHING_HAPPENED,
                means=f"{consumer} gave records up after hours of retries: salvage makes dead letters of them.",
            )

    def _watch_unread(self, scope: Construct, operations: Operations, subscription: Subscription, cap: int) -> None:
        """Watch that Kafka's cap on bytes never deletes an unread record, however large the records are."""
        operations.alarm(
            scope,
            "unread",
            metric=counted("AWS/Kafka", "MaxOffsetLag", _group(subscription), minutes=1, statistic="Maximum"),
            above=cap // 2 // MAXIMUM_RECORD_BYTES,
            times=5,
            no_data=UNKNOWN,
            means=f"What {subscription.consumer} has not read may fill half of what a partition of"
            f" {subscription.topic} holds; beyond all of it, Kafka deletes the oldest unread.",
        )


def _watch_quarantine(scope: Construct, deployment: Deployment, operations: Operations, consumer: str) -> None:
    """Watch that no consumer drains its stream into the dead letters: it halts instead, and says so."""
    operations.alarm(
        scope,
        "quarantine",
        metric=counted(deployment.metrics, "QuarantineExceeded", {"service": consumer}, minutes=5),
        above=0,
        no_data=NOTHING_HAPPENED,
        means=f"{consumer} is halted: it cannot process so many records that the fault must be ours."
        " They stay in Kafka, and are given up after hours.",
    )


def _watch_versions(scope: Construct, deployment: Deployment, operations: Operations, consumer: str) -> None:
    """Watch that no writer is of a newer release than this consumer for longer than a deployment takes."""
    operations.alarm(
        scope,
        "version-ahead",
        metric=counted(deployment.metrics, RECORDS_HELD.name, {"service": consumer}, minutes=5),
        above=0,
        no_data=NOTHING_HAPPENED,
        means=f"{consumer} holds records whose version is newer than its release. They become dead letters unless a"
        " release that can read them is deployed in minutes.",
    )


def _group(subscription: Subscription) -> dict[str, str]:
    return {
        "Cluster Name": subscription.stream.cluster.cluster_name,
        "Consumer Group": subscription.consumer,
        "Topic": subscription.topic,
    }


def _finding_the_brokers() -> iam.PolicyStatement:
    """Grant finding the brokers' subnets and security groups; these calls have no resource to name."""
    return iam.PolicyStatement(
        actions=["ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"], resources=["*"]
    )
