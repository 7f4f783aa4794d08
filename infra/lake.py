"""The lake: files in buckets, their catalog, the stream that writes them and the queries that read them."""

from aws_cdk import CfnOutput
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.buckets import Buckets
from infra.catalog import Catalog
from infra.delivery import Delivery
from infra.operations import Operations
from infra.queries import Queries
from infra.settings import Deployment


class Lake(Construct):
    """Everything from a row leaving archive to an answer in Athena."""

    def __init__(
        self, scope: Construct, name: str, *, deployment: Deployment, operations: Operations, key: kms.IKey
    ) -> None:
        super().__init__(scope, name)
        self.buckets = Buckets(self, "Buckets", profile=deployment.profile, key=key)
        self.catalog = Catalog(
            self,
            "Catalog",
            deployment=deployment,
            raw=self.buckets.raw,
            dead_letter=self.buckets.dead_letter,
            rollups=self.buckets.rollups,
        )
        self.delivery = Delivery(
            self,
            "Delivery",
            deployment=deployment,
            raw=self.buckets.raw,
            catalog=self.catalog,
            key=key,
            operations=operations,
        )
        self.queries = Queries(
            self,
            "Queries",
            deployment=deployment,
            catalog=self.catalog,
            results=self.buckets.query_results,
            key=key,
        )
        CfnOutput(self, "RawBucket", value=self.buckets.raw.bucket_name)
        CfnOutput(self, "DeadLetterBucket", value=self.buckets.dead_letter.bucket_name)
        CfnOutput(self, "WorkGroup", value=self.queries.workgroup.name)
