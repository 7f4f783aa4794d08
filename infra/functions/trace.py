"""trace: what became of one event, for readers and for operators."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Function, Reach
from infra.building_blocks.operations import NOTHING_HAPPENED, counted
from infra.network import HTTPS_PORT
from infra.settings import Profile
from infra.stores.cache import PORT as CACHE_PORT
from infra.stores.cache import Cache
from infra.stores.database import PORT as DATABASE_PORT
from infra.stores.database import Database

DATABASE_USER = "sluice_trace"


class Trace(Construct):
    """The function behind the route; operators may also invoke it."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        base: Base,
        database: Database,
        cache: Cache,
        seek: lambda_.IFunction,
    ) -> None:
        super().__init__(scope, name)
        settings, keys = base.deployment.profile.trace, base.deployment.profile.ingest
        self.function = Function(
            self,
            "trace",
            base=base,
            compute=settings.compute,
            synchronous=True,
            further_layers=[base.layers.database],
            environment={
                # One promise for all doors: how soon a revoked key stops working.
                "KEY_MEMORY_SECONDS": str(keys.key_memory_seconds),
                "KEY_CACHE_SECONDS": str(keys.key_cache_seconds),
                "TRACE_CONCURRENCY": str(settings.compute.concurrency),
                "TRACE_REQUESTS_PER_SECOND": str(settings.requests_per_second),
                "TRACE_ANSWER_SECONDS": str(settings.answer_seconds),
                "TRACE_VISIBLE_SECONDS": str(visible_seconds(base.deployment.profile)),
                "SEEK_FUNCTION": seek.function_name,
                "SEEK_SECONDS": str(settings.seek_seconds),
                **database.address,
                "DATABASE_USER": DATABASE_USER,
                "DATABASE_AUTH": "iam",
                **cache.address,
                "CACHE_USER": cache.user_of("trace"),
                "CACHE_AUTH": "iam",
            },
            grants=[
                database.may_connect_as(DATABASE_USER),
                cache.may_connect_as("trace"),
                iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[seek.function_arn]),
            ],
            reaches=[
                Reach(database.security_group, DATABASE_PORT),
                Reach(cache.security_group, CACHE_PORT),
                Reach(base.network.lambdas, HTTPS_PORT),
            ],
        )
        base.operations.alarm(
            self,
            "blind",
            # One is enough: traces are rare, and whoever asked for this one has no whole answer.
            metric=counted(base.deployment.metrics, "SourcesUnavailable", {"service": "trace"}, minutes=60),
            above=0,
            no_data=NOTHING_HAPPENED,
            means="Within an hour, a trace has lacked the files or the numbers. The logs of trace and seek say why.",
        )


def visible_seconds(profile: Profile) -> int:
    """Say how old an event is when it should be found: twice as old as the buffers on its way may make it."""
    stored = profile.archive.batching_window_seconds + profile.delivery.interval_seconds
    return 2 * max(stored, profile.deadletter.batching_window_seconds)
