"""Athena: the analysts' workgroup, a limit on the cost of a query, and the most frequent queries."""

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_athena as athena
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.building_blocks.access import Access
from infra.building_blocks.foundation import Foundation
from infra.deployment import GIB
from infra.stores.buckets import Bucket, Buckets
from infra.stores.catalog import SQL, Catalog

NAMED_QUERIES = {
    "device_between": ("stored_events",),
    "metric_between": ("stored_events",),
    "type_between": ("stored_events",),
    "event_by_id": ("raw_events",),
    "gaps_between": ("stored_events", "dead_letters"),
    "dead_letters_by_reason": ("dead_letters",),
    "dead_letters_by_id": ("dead_letters",),
    "rollups_between": ("rollups",),
}
"""Each query's file, with the tables and views it reads."""

ASKING = ("StartQueryExecution", "GetQueryExecution", "GetQueryResults", "StopQueryExecution")
"""What a program does with a workgroup."""
LOOKING = (
    "GetWorkGroup",
    "ListQueryExecutions",
    "BatchGetQueryExecution",
    "ListNamedQueries",
    "GetNamedQuery",
    "BatchGetNamedQuery",
)
"""What people and their tools look up in it besides: where results go, earlier queries, and the named ones."""


class Queries(Construct):
    """A workgroup whose limits no query can override, and named queries in it."""

    def __init__(
        self, scope: Construct, foundation: Foundation, *, scan_limit_gib: int, catalog: Catalog, buckets: Buckets
    ) -> None:
        super().__init__(scope, "Queries")
        self._catalog = catalog
        self._buckets = buckets
        results = buckets.query_results
        self.workgroup = athena.CfnWorkGroup(
            self,
            "WorkGroup",
            name=foundation.deployment.named("analysts"),
            # Deletes saved queries and history with the workgroup. Without this its deletion would fail.
            recursive_delete_option=True,
            work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                bytes_scanned_cutoff_per_query=scan_limit_gib * GIB,
                engine_version=athena.CfnWorkGroup.EngineVersionProperty(
                    selected_engine_version="Athena engine version 3"
                ),
                publish_cloud_watch_metrics_enabled=True,
                result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                    output_location=f"s3://{results.bucket_name}/",
                    encryption_configuration=athena.CfnWorkGroup.EncryptionConfigurationProperty(
                        encryption_option="SSE_KMS", kms_key=foundation.key.key_arn
                    ),
                ),
            ),
        )
        for query, tables in NAMED_QUERIES.items():
            sql = (SQL / f"{query}.sql").read_text()
            named = athena.CfnNamedQuery(
                self,
                "".join(word.capitalize() for word in query.split("_")),
                name=query,
                database=catalog.database_name,
                work_group=self.workgroup.name,
                query_string=sql,
                description=sql.splitlines()[0].removeprefix("-- "),
            )
            named.add_resource_dependency(self.workgroup)
            for table in tables:
                named.add_resource_dependency(catalog.tables[table])

    def access(self) -> Access:
        """Let a function outside the private network query raw events and dead letters."""
        buckets = self._buckets
        return Access(
            grants=[
                self._may_ask(*ASKING),
                self._may_see("raw_events", "dead_letters"),
                *_may_read(buckets.raw, "raw/"),
                *_may_read(buckets.dead_letter, "dead_letters/"),
                *_may_keep_results(buckets.query_results),
                buckets.query_results.may_use_key("kms:Decrypt", "kms:GenerateDataKey"),
            ],
            facts={"athena_workgroup": self.workgroup.name, "athena_database": self._catalog.database_name},
        )

    def grants_for_analysts(self, region: str) -> list[iam.PolicyStatement]:
        """Let people query every table and view, and read the files of these tables and of results."""
        buckets = self._buckets
        key = buckets.query_results.may_use_key("kms:Decrypt", "kms:GenerateDataKey")
        # The key encrypts more than the lake: the database's disks and its login, messages of alarms.
        key.add_condition("StringEquals", {"kms:ViaService": f"s3.{region}.amazonaws.com"})
        return [
            self._may_ask(*ASKING, *LOOKING),
            self._may_see("raw_events", "stored_events", "events", "dead_letters", "rollups"),
            *_may_read(buckets.raw, "raw/"),
            *_may_read(buckets.dead_letter, "dead_letters/"),
            *_may_read(buckets.rollups, "rollups/"),
            *_may_keep_results(buckets.query_results),
            key,
        ]

    def _may_ask(self, *actions: str) -> iam.PolicyStatement:
        """Grant uses of the workgroup."""
        arn = Stack.of(self).format_arn(service="athena", resource="workgroup", resource_name=self.workgroup.name)
        return iam.PolicyStatement(actions=[f"athena:{action}" for action in actions], resources=[arn])

    def _may_see(self, *tables: str) -> iam.PolicyStatement:
        """Grant reading the catalog. Partitions are projected, and not looked up."""
        names = [f"database/{self._catalog.database_name}"]
        names += [f"table/{self._catalog.database_name}/{table}" for table in tables]
        arns = [
            Stack.of(self).format_arn(service="glue", resource=name, arn_format=ArnFormat.NO_RESOURCE_NAME)
            for name in ("catalog", *names)
        ]
        return iam.PolicyStatement(actions=["glue:GetDatabase", "glue:GetTable"], resources=arns)


def _may_read(bucket: Bucket, prefix: str) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(actions=["s3:GetObject"], resources=[bucket.arn_for_objects(f"{prefix}*")]),
        iam.PolicyStatement(actions=["s3:GetBucketLocation"], resources=[bucket.bucket_arn]),
        iam.PolicyStatement(
            actions=["s3:ListBucket"],
            resources=[bucket.bucket_arn],
            conditions={"StringLike": {"s3:prefix": [f"{prefix}*"]}},
        ),
    ]


def _may_keep_results(bucket: Bucket) -> list[iam.PolicyStatement]:
    """Grant what Athena does with a bucket on behalf of its caller, but for the key."""
    return [
        iam.PolicyStatement(
            actions=["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
            resources=[bucket.bucket_arn],
        ),
        iam.PolicyStatement(
            actions=["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"],
            resources=[bucket.arn_for_objects("*")],
        ),
    ]
