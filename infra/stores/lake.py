"""The lake: files in buckets, their catalog, the stream that writes them and the queries that read them."""

from aws_cdk import CfnOutput
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.building_blocks.operations import Operations
from infra.settings import Deployment
from infra.stores.buckets import Buckets
from infra.stores.catalog import Catalog
from infra.stores.delivery import Delivery
from infra.stores.queries import Queries


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
