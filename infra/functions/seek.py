"""seek: asks Athena for trace, from outside the private network, which has no way to it."""

from aws_cdk import ArnFormat, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Function
from infra.building_blocks.operations import NOTHING_HAPPENED, counted
from infra.settings import GIB
from infra.stores.lake import Lake

TABLES = ("raw_events", "dead_letters")
SCANNED_AN_HOUR = 2000 * GIB
"""10 USD: what a hundred traces read at baseline."""


class Seek(Construct):
    """The function that may read the files of two tables, through one workgroup."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        base: Base,
        lake: Lake,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, name)
        settings = base.deployment.profile.seek
        workgroup, database = lake.queries.workgroup.name, lake.catalog.database_name
        self.function = Function(
            self,
            "seek",
            base=base,
            compute=settings.compute,
            # trace waits for it.
            synchronous=True,
            environment={
                "ATHENA_WORKGROUP": workgroup,
                "ATHENA_DATABASE": database,
                "ATHENA_SECONDS": str(settings.athena_seconds),
            },
            grants=[
                self._may_ask(workgroup),
                self._may_see_tables(database),
                *_may_read(lake.buckets.raw, "raw/"),
                *_may_read(lake.buckets.dead_letter, "dead_letters/"),
                *_may_keep_results(lake.buckets.query_results),
                iam.PolicyStatement(actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[key.key_arn]),
            ],
            reaches=[],
        )
        base.operations.alarm(
            self,
            "scans",
            metric=_paid_for(workgroup),
            above=SCANNED_AN_HOUR,
            no_data=NOTHING_HAPPENED,
            means="Traces and analysts have read more than 2000 GiB within an hour, which is 10 USD.",
        )

    def _may_ask(self, workgroup: str) -> iam.PolicyStatement:
        actions = ("StartQueryExecution", "GetQueryExecution", "GetQueryResults", "StopQueryExecution")
        arn = Stack.of(self).format_arn(service="athena", resource="workgroup", resource_name=workgroup)
        return iam.PolicyStatement(actions=[f"athena:{action}" for action in actions], resources=[arn])

    def _may_see_tables(self, database: str) -> iam.PolicyStatement:
        """Grant reading what the catalog says; partitions are projected, and asked of nobody."""
        stack = Stack.of(self)
        names = [f"database/{database}", *(f"table/{database}/{table}" for table in TABLES)]
        arns = [
            stack.format_arn(service="glue", resource="catalog", arn_format=ArnFormat.NO_RESOURCE_NAME),
            *(stack.format_arn(service="glue", resource=name, arn_format=ArnFormat.NO_RESOURCE_NAME) for name in names),
        ]
        return iam.PolicyStatement(actions=["glue:GetDatabase", "glue:GetTable"], resources=arns)


def _paid_for(workgroup: str) -> cloudwatch.IMetric:
    """Sum up what a workgroup's queries have read: one that was cancelled is paid for as one that was answered is."""
    # The API writes one of these with two L, and CloudWatch with one: what is not there adds nothing.
    states = {"answered": "SUCCEEDED", "canceled": "CANCELED", "cancelled": "CANCELLED"}
    return cloudwatch.MathExpression(
        expression=" + ".join(f"FILL({name}, 0)" for name in states),
        using_metrics={
            name: counted(
                "AWS/Athena",
                "ProcessedBytes",
                {"WorkGroup": workgroup, "QueryType": "DML", "QueryState": state},
                minutes=60,
            )
            for name, state in states.items()
        },
        period=Duration.minutes(60),
    )


def _may_read(bucket: s3.IBucket, prefix: str) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(actions=["s3:GetObject"], resources=[bucket.arn_for_objects(f"{prefix}*")]),
        iam.PolicyStatement(actions=["s3:GetBucketLocation"], resources=[bucket.bucket_arn]),
        iam.PolicyStatement(
            actions=["s3:ListBucket"],
            resources=[bucket.bucket_arn],
            conditions={"StringLike": {"s3:prefix": [f"{prefix}*"]}},
        ),
    ]


def _may_keep_results(bucket: s3.IBucket) -> list[iam.PolicyStatement]:
    """Grant what Athena does with a bucket in the name of who asks."""
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
