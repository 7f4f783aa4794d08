"""archive: from Kafka to Firehose."""

from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.event_source import EventSource, Failures, Subscription
from infra.function import Function, Reach
from infra.lake import Lake
from infra.layers import Layers
from infra.network import HTTPS_PORT, Network
from infra.operations import Operations
from infra.settings import DEAD_LETTERS, RAW_EVENTS, Deployment
from infra.stream import IAM_PORT, Stream

# Longer than at the edge: nobody waits for archive, and a dead letter not written means the whole batch again.
PRODUCE_DEADLINE_SECONDS = 10


class Archive(Construct):
    """The function that turns records into rows, and the event source that feeds it."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        deployment: Deployment,
        operations: Operations,
        network: Network,
        layers: Layers,
        stream: Stream,
        lake: Lake,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, name)
        settings = deployment.profile.archive
        subscription = Subscription(
            stream, RAW_EVENTS, consumer="archive", failures=Failures(lake.buckets.failed_batches, key)
        )
        self.function = Function(
            self,
            "archive",
            deployment=deployment,
            operations=operations,
            network=network,
            compute=settings.compute,
            synchronous=False,
            layers=[layers.sluice, layers.stream],
            environment={
                "DELIVERY_STREAM": lake.delivery.stream.delivery_stream_name,
                "KAFKA_BOOTSTRAP": stream.bootstrap,
                "KAFKA_AUTH": "iam",
                "PRODUCE_DEADLINE_SECONDS": str(PRODUCE_DEADLINE_SECONDS),
                "DEAD_LETTER_TOPIC": DEAD_LETTERS,
            },
            grants=[lake.delivery.may_deliver(), *stream.may_produce(DEAD_LETTERS), *subscription.grants()],
            reaches=[Reach(network.firehose, HTTPS_PORT), Reach(stream.security_group, IAM_PORT)],
        )
        EventSource(
            self,
            "Source",
            deployment=deployment,
            operations=operations,
            function=self.function,
            subscription=subscription,
            settings=settings,
        )
