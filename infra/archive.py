"""archive: from Kafka to Firehose."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.function import Function, Reach
from infra.lake import Lake
from infra.layers import Layers
from infra.network import Network
from infra.settings import CONSUMER_RECORD_AGE_SECONDS, Deployment
from infra.stream import Stream

TOPIC = "raw-events"
CONSUMER = "archive"
HTTPS_PORT = 443
# Retried for as long as the age allows: infinite retries with a destination are silently capped at 10.
RETRIES = 10_000


class Archive(Construct):
    """The function that turns records into rows, and the event source that feeds it."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        deployment: Deployment,
        network: Network,
        layers: Layers,
        stream: Stream,
        lake: Lake,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, name)
        settings = deployment.profile.archive
        failed_batches = lake.buckets.failed_batches
        self.function = Function(
            self,
            "archive",
            deployment=deployment,
            network=network,
            compute=settings.compute,
            layers=[layers.sluice, layers.stream],
            environment={"DELIVERY_STREAM": lake.delivery.stream.delivery_stream_name},
            grants=[
                lake.delivery.may_deliver(),
                # The event source works under the function's role: it polls, and writes down what it gave up.
                *stream.may_consume(TOPIC, group=CONSUMER),
                *_polling_from_the_network(),
                iam.PolicyStatement(actions=["s3:ListBucket"], resources=[failed_batches.bucket_arn]),
                iam.PolicyStatement(actions=["s3:PutObject"], resources=[failed_batches.arn_for_objects("*")]),
                iam.PolicyStatement(actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[key.key_arn]),
            ],
            reaches=[Reach(network.firehose, HTTPS_PORT)],
        )
        lambda_.CfnEventSourceMapping(
            self,
            "Source",
            function_name=self.function.function_arn,
            event_source_arn=stream.cluster.attr_arn,
            topics=[TOPIC],
            amazon_managed_kafka_event_source_config=(
                lambda_.CfnEventSourceMapping.AmazonManagedKafkaEventSourceConfigProperty(consumer_group_id=CONSUMER)
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
                poller_group_name=deployment.named("consumers"),
            ),
            maximum_retry_attempts=RETRIES,
            maximum_record_age_in_seconds=CONSUMER_RECORD_AGE_SECONDS,
            # The handler itself says which record failed; halving batches would only repeat the good ones.
            bisect_batch_on_function_error=False,
            destination_config=lambda_.CfnEventSourceMapping.DestinationConfigProperty(
                on_failure=lambda_.CfnEventSourceMapping.OnFailureProperty(destination=failed_batches.bucket_arn)
            ),
        )


def _polling_from_the_network() -> list[iam.PolicyStatement]:
    """Grant finding the brokers' subnets and security groups; these calls have no resource to name."""
    return [
        iam.PolicyStatement(
            actions=["ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"], resources=["*"]
        )
    ]
