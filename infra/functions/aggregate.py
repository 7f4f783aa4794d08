"""aggregate: from Kafka to samples in PostgreSQL."""

from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.event_source import EventSource, Failures, Subscription
from infra.building_blocks.function import Function, Reach
from infra.settings import DEAD_LETTERS, RAW_EVENTS
from infra.stores.cache import PORT as CACHE_PORT
from infra.stores.cache import Cache
from infra.stores.database import PORT as DATABASE_PORT
from infra.stores.database import Database
from infra.stores.lake import Lake
from infra.stores.stream import IAM_PORT, Stream

DATABASE_USER = "sluice_aggregate"


class Aggregate(Construct):
    """The function that takes events into the set of samples, and the event source that feeds it."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        base: Base,
        stream: Stream,
        lake: Lake,
        database: Database,
        cache: Cache,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, name)
        settings = base.deployment.profile.aggregate
        subscription = Subscription(
            stream, RAW_EVENTS, consumer="aggregate", failures=Failures(lake.buckets.failed_batches, key)
        )
        self.function = Function(
            self,
            "aggregate",
            base=base,
            compute=settings.consumer.compute,
            synchronous=False,
            further_layers=[base.layers.database],
            environment={
                "KAFKA_BOOTSTRAP": stream.bootstrap,
                "KAFKA_AUTH": "iam",
                "PRODUCE_DEADLINE_SECONDS": str(settings.produce_deadline_seconds),
                "DEAD_LETTER_TOPIC": DEAD_LETTERS,
                "TRANSACTION_SECONDS": str(settings.transaction_seconds),
                "HOLD_SECONDS": str(settings.hold_seconds),
                "VERSION_HOLD_SECONDS": str(settings.version_hold_seconds),
                # The part of what may be put aside that is one environment's while the cache cannot be asked.
                "AGGREGATE_CONCURRENCY": str(settings.consumer.compute.concurrency),
                **database.address,
                "DATABASE_USER": DATABASE_USER,
                "DATABASE_AUTH": "iam",
                **cache.address,
                "CACHE_USER": cache.user_of("aggregate"),
                "CACHE_AUTH": "iam",
            },
            grants=[
                database.may_connect_as(DATABASE_USER),
                cache.may_connect_as("aggregate"),
                *stream.may_produce(DEAD_LETTERS),
                *subscription.grants(),
            ],
            reaches=[
                Reach(stream.security_group, IAM_PORT),
                Reach(database.security_group, DATABASE_PORT),
                Reach(cache.security_group, CACHE_PORT),
            ],
        )
        self.function.node.add_dependency(*stream.readers_of(DEAD_LETTERS))
        EventSource(
            self,
            "Source",
            base=base,
            function=self.function,
            subscription=subscription,
            settings=settings.consumer,
        )
