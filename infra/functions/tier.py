"""tier: rollups from the database to files, once they are seldom looked at."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Function, Reach
from infra.building_blocks.operations import TROUBLE, counted
from infra.building_blocks.schedule import Schedule
from infra.network import HTTPS_PORT
from infra.settings import HOUR
from infra.stores.database import PORT as DATABASE_PORT
from infra.stores.database import Database
from infra.stores.lake import Lake

DATABASE_USER = "sluice_tier"


class Tier(Construct):
    """The function that moves rollups, and its schedule."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        base: Base,
        lake: Lake,
        database: Database,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, name)
        settings = base.deployment.profile.tier
        bucket = lake.buckets.rollups
        self.function = Function(
            self,
            "tier",
            base=base,
            compute=settings.compute,
            synchronous=False,
            further_layers=[base.layers.database, base.layers.parquet],
            environment={
                "ROLLUP_BUCKET": bucket.bucket_name,
                "MINUTE_DAYS": str(settings.minute_days),
                "HOUR_DAYS": str(settings.hour_days),
                "ROLLUP_DAYS": str(base.deployment.profile.retention.rollup_days),
                "TIER_SLICE_WINDOWS": str(settings.slice_windows),
                "TIER_RESERVE_SECONDS": str(settings.reserve_seconds),
                # What takes longer than a slice may would be cut off with the function.
                "TIER_STATEMENT_SECONDS": str(settings.reserve_seconds),
                **database.address,
                "DATABASE_USER": DATABASE_USER,
                "DATABASE_AUTH": "iam",
            },
            grants=[
                iam.PolicyStatement(
                    actions=["s3:GetObject", "s3:PutObject"],
                    resources=[bucket.arn_for_objects("staging/*"), bucket.arn_for_objects("rollups/*")],
                ),
                iam.PolicyStatement(actions=["s3:PutObject"], resources=[bucket.arn_for_objects("manifests/*")]),
                iam.PolicyStatement(actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[key.key_arn]),
                database.may_connect_as(DATABASE_USER),
            ],
            reaches=[Reach(database.security_group, DATABASE_PORT), Reach(base.network.s3, HTTPS_PORT)],
        )
        Schedule(self, "Schedule", base=base, function=self.function, every_minutes=settings.every_minutes)
        base.operations.alarm(
            self,
            "behind",
            metric=counted(base.deployment.metrics, "TierBehind", {"service": "tier"}, minutes=60, statistic="Maximum"),
            above=settings.behind_hours * HOUR,
            # A run that ends before its time is no error and tells nothing; one may, and the next, but not all of them.
            times=3,
            no_data=TROUBLE,
            means=f"Rollups that should be in files are still in the database, {settings.behind_hours} h and more, or "
            "no run has come to its end for hours: it fills up. The function's log says what they wait for.",
        )
