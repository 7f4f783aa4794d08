"""reconcile: what the brokers accepted held against what is stored, and what is missing run again."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Function, Reach
from infra.building_blocks.operations import NOTHING_HAPPENED, TROUBLE, counted
from infra.building_blocks.schedule import Schedule
from infra.network import HTTPS_PORT
from infra.settings import RAW_EVENTS
from infra.stores.database import PORT as DATABASE_PORT
from infra.stores.database import Database
from infra.stores.lake import Lake
from infra.stores.stream import IAM_PORT, Stream

DATABASE_USER = "sluice_reconcile"
# Three runs: one may be missed, and a run that catches up takes its time.
NOTICE_MINUTES = 15


class Reconcile(Construct):
    """The function that keeps the ledger, and its schedule."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        base: Base,
        stream: Stream,
        lake: Lake,
        database: Database,
        archive: lambda_.IFunction,
        aggregate: lambda_.IFunction,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, name)
        settings = base.deployment.profile.reconcile
        raw, letters = lake.buckets.raw, lake.buckets.dead_letter
        self.function = Function(
            self,
            "reconcile",
            base=base,
            compute=settings.compute,
            synchronous=False,
            further_layers=[base.layers.database, base.layers.parquet],
            environment={
                "KAFKA_BOOTSTRAP": stream.bootstrap,
                "KAFKA_AUTH": "iam",
                "KAFKA_CLUSTER_ARN": stream.cluster.attr_arn,
                "RAW_EVENTS_TOPIC": RAW_EVENTS,
                # Not used, it produces nothing: part of how brokers are reached.
                "PRODUCE_DEADLINE_SECONDS": str(base.deployment.profile.ingest.produce_deadline_seconds),
                "RAW_BUCKET": raw.bucket_name,
                "DEAD_LETTER_BUCKET": letters.bucket_name,
                "ARCHIVE_FUNCTION": archive.function_name,
                "ARCHIVE_GRACE_SECONDS": str(settings.archive_grace_seconds),
                "AGGREGATE_FUNCTION": aggregate.function_name,
                "AGGREGATE_GRACE_SECONDS": str(settings.aggregate_grace_seconds),
                "RERUN_SECONDS": str(settings.rerun_seconds),
                "RESERVE_SECONDS": str(settings.reserve_seconds),
                "STATEMENT_SECONDS": str(settings.statement_seconds),
                **database.address,
                "DATABASE_USER": DATABASE_USER,
                "DATABASE_AUTH": "iam",
            },
            grants=[
                iam.PolicyStatement(
                    actions=["s3:GetObject"],
                    resources=[raw.arn_for_objects("raw/*"), letters.arn_for_objects("dead_letters/*")],
                ),
                iam.PolicyStatement(actions=["s3:ListBucket"], resources=[raw.bucket_arn, letters.bucket_arn]),
                iam.PolicyStatement(actions=["kms:Decrypt"], resources=[key.key_arn]),
                iam.PolicyStatement(
                    actions=["lambda:InvokeFunction"], resources=[archive.function_arn, aggregate.function_arn]
                ),
                database.may_connect_as(DATABASE_USER),
                *stream.may_reread(RAW_EVENTS, reader="reconcile", groups=["archive", "aggregate"]),
            ],
            reaches=[
                Reach(database.security_group, DATABASE_PORT),
                Reach(stream.security_group, IAM_PORT),
                Reach(base.network.lambdas, HTTPS_PORT),
                Reach(base.network.s3, HTTPS_PORT),
            ],
        )
        Schedule(self, "Schedule", base=base, function=self.function, every_minutes=settings.every_minutes)
        base.operations.alarm(
            self,
            "unaccounted",
            metric=counted(
                base.deployment.metrics,
                "UnaccountedEvents",
                {"service": "reconcile"},
                minutes=NOTICE_MINUTES,
                statistic="Maximum",
            ),
            above=0,
            # Nobody knows of an event that it is accounted for while nothing is compared.
            no_data=TROUBLE,
            means="Accepted events are missing in the raw store or in the numbers and are in no dead letter, or for a"
            " quarter of an hour nothing could be compared. `make statement` names them; what Kafka still has is run"
            " again by itself.",
        )
        # What is lost for good keeps the one above for ever: whoever waits for the next loss hears of it here.
        newly_missing = (
            "More accepted events than before are missing in the raw store or in the numbers. `make statement` names"
            " them; what Kafka still has is run again by itself."
        )
        unreadable = (
            "Something among the raw files or the dead letters cannot be read; the function's log names it. What it"
            " should tell of will be missing, and is run again while Kafka has it."
        )
        for name, metric, means in (
            ("newly-missing", "NewlyMissing", newly_missing),
            ("unreadable", "ObjectsUnreadable", unreadable),
        ):
            base.operations.alarm(
                self,
                name,
                metric=counted(
                    base.deployment.metrics,
                    metric,
                    {"service": "reconcile"},
                    minutes=NOTICE_MINUTES,
                    statistic="Maximum",
                ),
                above=0,
                no_data=NOTHING_HAPPENED,
                means=means,
            )
