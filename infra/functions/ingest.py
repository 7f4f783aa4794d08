"""ingest: from the API to Kafka."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Function, Reach
from infra.building_blocks.operations import NOTHING_HAPPENED, counted
from infra.settings import DEAD_LETTERS, RAW_EVENTS
from infra.stores.cache import PORT as CACHE_PORT
from infra.stores.cache import Cache
from infra.stores.database import PORT as DATABASE_PORT
from infra.stores.database import Database
from infra.stores.stream import IAM_PORT, Stream

DATABASE_USER = "sluice_ingest"
UNSTORED_PERCENT = 1


class Ingest(Construct):
    """The function that authenticates, validates, produces and answers."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        base: Base,
        stream: Stream,
        database: Database,
        cache: Cache,
    ) -> None:
        super().__init__(scope, name)
        settings = base.deployment.profile.ingest
        self.function = Function(
            self,
            "ingest",
            base=base,
            compute=settings.compute,
            synchronous=True,
            further_layers=[base.layers.database],
            environment={
                "KAFKA_BOOTSTRAP": stream.bootstrap,
                "KAFKA_AUTH": "iam",
                "RAW_EVENTS_TOPIC": RAW_EVENTS,
                "DEAD_LETTER_TOPIC": DEAD_LETTERS,
                # The part of a fleet's quota that is one environment's while the cache cannot be asked.
                "INGEST_CONCURRENCY": str(settings.compute.concurrency),
                "PRODUCE_DEADLINE_SECONDS": str(settings.produce_deadline_seconds),
                "KEY_MEMORY_SECONDS": str(settings.key_memory_seconds),
                "KEY_CACHE_SECONDS": str(settings.key_cache_seconds),
                **database.address,
                "DATABASE_USER": DATABASE_USER,
                "DATABASE_AUTH": "iam",
                **cache.address,
                "CACHE_USER": cache.user_of("ingest"),
                "CACHE_AUTH": "iam",
            },
            grants=[
                *stream.may_produce(RAW_EVENTS, DEAD_LETTERS),
                database.may_connect_as(DATABASE_USER),
                cache.may_connect_as("ingest"),
            ],
            reaches=[
                Reach(stream.security_group, IAM_PORT),
                Reach(database.security_group, DATABASE_PORT),
                Reach(cache.security_group, CACHE_PORT),
            ],
        )
        self.function.node.add_dependency(*stream.readers_of(RAW_EVENTS, DEAD_LETTERS))
        # Whoever sends requests sends them here.
        self.entrance = self._started(settings.started) if settings.started else self.function
        base.operations.alarm(
            self,
            "unstored",
            metric=_percent_unstored(base.deployment.metrics),
            above=UNSTORED_PERCENT,
            times=5,
            no_data=NOTHING_HAPPENED,
            means=f"More than {UNSTORED_PERCENT} % of events cannot be stored: devices are told to send them again.",
        )
        own = {"service": "ingest"}
        base.operations.alarm(
            self,
            "refusing",
            metric=counted(base.deployment.metrics, "RefusedForPressure", own, minutes=1),
            above=0,
            times=5,
            no_data=NOTHING_HAPPENED,
            means="Devices are told to send less: the buffer or the brokers' disks fill up, or producing is slow.",
        )
        base.operations.alarm(
            self,
            "uninformed",
            metric=counted(base.deployment.metrics, "PressureUnknown", own, minutes=1),
            above=0,
            times=5,
            no_data=NOTHING_HAPPENED,
            means="ingest has no word about pressure that it could believe, and refuses nothing for it.",
        )

    def _started(self, environments: int) -> lambda_.IFunction:
        return lambda_.Alias(
            self,
            "Started",
            alias_name="started",
            version=self.function.current_version,
            provisioned_concurrent_executions=environments,
        )


def _percent_unstored(namespace: str) -> cloudwatch.IMetric:
    """Compute what the API's own numbers do not show: every one of these answers is a well-formed 429."""
    names = {"stored": "EventsAccepted", "rejected": "EventsRejected", "unstored": "EventsToRetry"}
    return cloudwatch.MathExpression(
        expression="100 * unstored / (stored + rejected + unstored)",
        using_metrics={
            name: counted(namespace, metric, {"service": "ingest"}, minutes=1) for name, metric in names.items()
        },
        period=Duration.minutes(1),
    )
