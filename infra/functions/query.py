"""query: what readers ask, from the database, the cache and two other functions."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Function, Reach
from infra.network import HTTPS_PORT
from infra.stores.cache import PORT as CACHE_PORT
from infra.stores.cache import Cache
from infra.stores.database import PORT as DATABASE_PORT
from infra.stores.database import Database

DATABASE_USER = "sluice_query"


class Query(Construct):
    """The function behind every route that reads."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        base: Base,
        database: Database,
        cache: Cache,
        lookup: lambda_.IFunction,
        recall: lambda_.IFunction,
    ) -> None:
        super().__init__(scope, name)
        settings, keys = base.deployment.profile.query, base.deployment.profile.ingest
        self.function = Function(
            self,
            "query",
            base=base,
            compute=settings.compute,
            synchronous=True,
            further_layers=[base.layers.database],
            environment={
                # One promise for all doors: how soon a revoked key stops working.
                "KEY_MEMORY_SECONDS": str(keys.key_memory_seconds),
                "KEY_CACHE_SECONDS": str(keys.key_cache_seconds),
                # The part of a key's rate that is one environment's while the cache cannot be asked.
                "QUERY_CONCURRENCY": str(settings.compute.concurrency),
                "QUERY_REQUESTS_PER_SECOND": str(settings.requests_per_second),
                "QUERY_ANSWER_SECONDS": str(settings.answer_seconds),
                "RECENT_SECONDS": str(settings.recent_seconds),
                "CHANGE_HOURS": str(base.deployment.profile.maintain.change_hours),
                "LOOKUP_FUNCTION": lookup.function_name,
                "LOOKUP_SECONDS": str(settings.lookup_seconds),
                "LOOKUP_REST_SECONDS": str(settings.lookup_rest_seconds),
                "GROUP_BELIEVED_SECONDS": str(settings.group_believed_seconds),
                "RECALL_FUNCTION": recall.function_name,
                "RECALL_SECONDS": str(settings.recall_seconds),
                **database.address,
                "DATABASE_USER": DATABASE_USER,
                "DATABASE_AUTH": "iam",
                **cache.address,
                "CACHE_USER": cache.user_of("query"),
                "CACHE_AUTH": "iam",
            },
            grants=[
                database.may_connect_as(DATABASE_USER),
                cache.may_connect_as("query"),
                iam.PolicyStatement(
                    actions=["lambda:InvokeFunction"], resources=[lookup.function_arn, recall.function_arn]
                ),
            ],
            reaches=[
                Reach(database.security_group, DATABASE_PORT),
                Reach(cache.security_group, CACHE_PORT),
                Reach(base.network.lambdas, HTTPS_PORT),
            ],
        )
