"""tier: rollups from the database to files, once they are seldom looked at."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.database import PORT as DATABASE_PORT
from infra.database import Database
from infra.function import Function, Reach, metrics_of
from infra.lake import Lake
from infra.layers import Layers
from infra.network import HTTPS_PORT, Network
from infra.operations import TROUBLE, Operations, counted
from infra.schedule import Schedule
from infra.settings import HOUR, Deployment

DATABASE_USER = "sluice_tier"


class Tier(Construct):
    """The function that moves rollups, and its schedule."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        deployment: Deployment,
        operations: Operations,
        network: Network,
        layers: Layers,
        lake: Lake,
        database: Database,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, name)
        settings = deployment.profile.tier
        bucket = lake.buckets.rollups
        self.function = Function(
            self,
            "tier",
            deployment=deployment,
            operations=operations,
            network=network,
            compute=settings.compute,
            synchronous=False,
            layers=[layers.sluice, layers.stream, layers.database, layers.parquet],
            environment={
                "ROLLUP_BUCKET": bucket.bucket_name,
                "MINUTE_DAYS": str(settings.minute_days),
                "HOUR_DAYS": str(settings.hour_days),
                "ROLLUP_DAYS": str(deployment.profile.retention.rollup_days),
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
            reaches=[Reach(database.security_group, DATABASE_PORT), Reach(network.s3, HTTPS_PORT)],
        )
        Schedule(self, "Schedule", operations=operations, function=self.function, every_minutes=settings.every_minutes)
        operations.alarm(
            self,
            "behind",
            metric=counted(metrics_of(deployment), "TierBehind", {"service": "tier"}, minutes=60, statistic="Maximum"),
            above=settings.behind_hours * HOUR,
            # A run that ends before its time is no error and tells nothing; one may, and the next, but not all of them.
            times=3,
            no_data=TROUBLE,
            means=f"Rollups that should be in files are still in the database, {settings.behind_hours} h and more, or "
            "no run has come to its end for hours: it fills up. The function's log says what they wait for.",
        )
