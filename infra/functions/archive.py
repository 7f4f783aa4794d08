"""archive: from Kafka to Firehose."""

from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.event_source import EventSource, Failures, Subscription
from infra.building_blocks.function import Function, Reach
from infra.network import HTTPS_PORT
from infra.settings import DEAD_LETTERS, RAW_EVENTS, require
from infra.stores.cache import PORT as CACHE_PORT
from infra.stores.cache import Cache
from infra.stores.lake import Lake
from infra.stores.stream import IAM_PORT, Stream

# Longer than at the edge: nobody waits for archive, and a dead letter not written means the whole batch again.
PRODUCE_DEADLINE_SECONDS = 10
HOLD_SECONDS = 10
"""How long an invocation sends again what the delivery stream did not take, before it is given back."""
ROUND_SECONDS = 24
"""What a batch may take to be sent once: four calls at most, each given up after 6 s."""


class Archive(Construct):
    """The function that turns records into rows, and the event source that feeds it."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        base: Base,
        stream: Stream,
        lake: Lake,
        cache: Cache,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, name)
        settings = base.deployment.profile.archive
        # The last round may begin when the time to hold is over; then dead letters are stored.
        longest = HOLD_SECONDS + ROUND_SECONDS + PRODUCE_DEADLINE_SECONDS
        require(
            longest < settings.compute.timeout_seconds,
            f"archive may wait for {longest} s, and must be able to say what comes again before it is stopped",
        )
        subscription = Subscription(
            stream, RAW_EVENTS, consumer="archive", failures=Failures(lake.buckets.failed_batches, key)
        )
        self.function = Function(
            self,
            "archive",
            base=base,
            compute=settings.compute,
            synchronous=False,
            environment={
                "DELIVERY_STREAM": lake.delivery.stream.delivery_stream_name,
                "KAFKA_BOOTSTRAP": stream.bootstrap,
                "KAFKA_AUTH": "iam",
                "PRODUCE_DEADLINE_SECONDS": str(PRODUCE_DEADLINE_SECONDS),
                "DEAD_LETTER_TOPIC": DEAD_LETTERS,
                "HOLD_SECONDS": str(HOLD_SECONDS),
                "VERSION_HOLD_SECONDS": str(settings.version_hold_seconds),
                # The part of what may be put aside that is one environment's while the cache cannot be asked.
                "ARCHIVE_CONCURRENCY": str(settings.compute.concurrency),
                **cache.address,
                "CACHE_USER": cache.user_of("archive"),
                "CACHE_AUTH": "iam",
            },
            grants=[
                lake.delivery.may_deliver(),
                cache.may_connect_as("archive"),
                *stream.may_produce(DEAD_LETTERS),
                *subscription.grants(),
            ],
            reaches=[
                Reach(base.network.firehose, HTTPS_PORT),
                Reach(stream.security_group, IAM_PORT),
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
            settings=settings,
        )
