"""The lake: files in buckets, their catalog, the stream that writes them and the queries that read them."""

from aws_cdk import CfnOutput
from constructs import Construct

from infra.building_blocks.foundation import Foundation
from infra.stores.analyst import Analyst
from infra.stores.buckets import Buckets, Retention
from infra.stores.catalog import Catalog
from infra.stores.delivery import Delivery, DeliveryProfile
from infra.stores.queries import Queries
from infra.stores.trail import Trail


class Lake(Construct):
    """Everything between archive's rows and Athena's answers."""

    def __init__(
        self,
        scope: Construct,
        foundation: Foundation,
        *,
        retention: Retention,
        delivery: DeliveryProfile,
        scan_limit_gib: int,
    ) -> None:
        super().__init__(scope, "Lake")
        self.buckets = Buckets(self, foundation, retention)
        catalog = Catalog(self, foundation.deployment, self.buckets)
        self.delivery = Delivery(self, foundation, delivery, raw=self.buckets.raw, catalog=catalog)
        self.queries = Queries(self, foundation, scan_limit_gib=scan_limit_gib, catalog=catalog, buckets=self.buckets)
        Analyst(self, foundation.deployment, self.queries)
        self.trail: Trail | None = None
        if foundation.deployment.keeps_data:
            held = self.buckets
            watched = [held.raw, held.dead_letter, held.failed_batches, held.rollups, held.query_results]
            self.trail = Trail(self, foundation, watched, days=retention.trail_days)
        CfnOutput(self, "RawBucket", value=self.buckets.raw.bucket_name)
        CfnOutput(self, "DeadLetterBucket", value=self.buckets.dead_letter.bucket_name)
        CfnOutput(self, "WorkGroup", value=self.queries.workgroup.name)
