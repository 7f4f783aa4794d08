"""deadletter: from Kafka to objects that can be queried, and the end of every failure."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.event_source import EventSource, Subscription
from infra.building_blocks.function import Function, Reach
from infra.network import HTTPS_PORT
from infra.settings import DEAD_LETTERS
from infra.stores.lake import Lake
from infra.stores.stream import Stream


class Deadletter(Construct):
    """The function that keeps dead letters, and an event source that never gives one up."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        base: Base,
        stream: Stream,
        lake: Lake,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, name)
        settings = base.deployment.profile.deadletter
        bucket = lake.buckets.dead_letter
        # There is nowhere further to send what fails here: it stays in Kafka, and alarms say so.
        subscription = Subscription(stream, DEAD_LETTERS, consumer="deadletter", failures=None)
        self.function = Function(
            self,
            "deadletter",
            base=base,
            compute=settings.compute,
            synchronous=False,
            environment={"DEAD_LETTER_BUCKET": bucket.bucket_name},
            grants=[
                iam.PolicyStatement(actions=["s3:PutObject"], resources=[bucket.arn_for_objects("dead_letters/*")]),
                iam.PolicyStatement(actions=["kms:GenerateDataKey"], resources=[key.key_arn]),
                *subscription.grants(),
            ],
            reaches=[Reach(base.network.s3, HTTPS_PORT)],
        )
        EventSource(
            self,
            "Source",
            base=base,
            function=self.function,
            subscription=subscription,
            settings=settings,
        )
