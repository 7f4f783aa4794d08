"""salvage: what was given up outside our handlers, from buckets to the dead letters."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Function, Reach
from infra.building_blocks.operations import NOTHING_HAPPENED, TROUBLE, counted
from infra.building_blocks.schedule import Schedule
from infra.network import HTTPS_PORT
from infra.settings import DEAD_LETTERS
from infra.stores.lake import Lake
from infra.stores.stream import IAM_PORT, Stream

EVERY_MINUTES = 1


class Salvage(Construct):
    """The function that empties the buckets nobody else reads, and its schedule."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        base: Base,
        stream: Stream,
        lake: Lake,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, name)
        settings = base.deployment.profile.salvage
        failed, raw = lake.buckets.failed_batches, lake.buckets.raw
        waiting = [failed.arn_for_objects("aws/lambda/*"), raw.arn_for_objects("errors/*")]
        self.function = Function(
            self,
            "salvage",
            base=base,
            compute=settings.compute,
            synchronous=False,
            environment={
                "FAILED_BATCH_BUCKET": failed.bucket_name,
                "RAW_BUCKET": raw.bucket_name,
                "SALVAGE_RESERVE_SECONDS": str(settings.reserve_seconds),
                "KAFKA_BOOTSTRAP": stream.bootstrap,
                "KAFKA_AUTH": "iam",
                "PRODUCE_DEADLINE_SECONDS": str(settings.produce_deadline_seconds),
                "DEAD_LETTER_TOPIC": DEAD_LETTERS,
            },
            grants=[
                iam.PolicyStatement(
                    actions=["s3:ListBucket"],
                    resources=[failed.bucket_arn],
                    conditions={"StringEquals": {"s3:prefix": "aws/lambda/"}},
                ),
                iam.PolicyStatement(
                    actions=["s3:ListBucket"],
                    resources=[raw.bucket_arn],
                    conditions={"StringEquals": {"s3:prefix": "errors/"}},
                ),
                iam.PolicyStatement(actions=["s3:DeleteObject", "s3:GetObject"], resources=waiting),
                iam.PolicyStatement(
                    actions=["s3:PutObject"],
                    resources=[failed.arn_for_objects("salvaged/*"), raw.arn_for_objects("salvaged/*")],
                ),
                iam.PolicyStatement(actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[key.key_arn]),
                *stream.may_produce(DEAD_LETTERS),
            ],
            reaches=[Reach(base.network.s3, HTTPS_PORT), Reach(stream.security_group, IAM_PORT)],
        )
        self.function.node.add_dependency(*stream.readers_of(DEAD_LETTERS))
        Schedule(self, "Schedule", base=base, function=self.function, every_minutes=EVERY_MINUTES)
        own = {"service": "salvage"}
        base.operations.alarm(
            self,
            "expired",
            metric=counted(base.deployment.metrics, "EventsExpired", own, minutes=5),
            above=0,
            no_data=NOTHING_HAPPENED,
            means="The oldest events were given up, because a consumer did not come to them in hours. They are in the "
            "dead letters with the reason `expired`, and missing in what that consumer makes.",
        )
        base.operations.alarm(
            self,
            "waiting",
            metric=counted(base.deployment.metrics, "LeftoverSeconds", own, minutes=15, statistic="Maximum"),
            above=settings.waiting_seconds,
            # A run that cannot even look tells nothing.
            no_data=TROUBLE,
            means=f"What was given up has lain in a bucket for {settings.waiting_seconds} s and more and is in no dead "
            "letter, or no run can see whether it has. The function's log says why.",
        )
