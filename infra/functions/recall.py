"""recall: rollups in files, read back for query."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Function
from infra.stores.lake import Lake


class Recall(Construct):
    """The function that reads files; it needs nothing that is in the private network, and stays outside."""

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
        bucket = lake.buckets.rollups
        self.function = Function(
            self,
            "recall",
            base=base,
            compute=base.deployment.profile.recall,
            # query waits for it.
            synchronous=True,
            further_layers=[base.layers.parquet],
            environment={"ROLLUP_BUCKET": bucket.bucket_name},
            grants=[
                iam.PolicyStatement(actions=["s3:GetObject"], resources=[bucket.arn_for_objects("rollups/*")]),
                iam.PolicyStatement(actions=["kms:Decrypt"], resources=[key.key_arn]),
            ],
            reaches=[],
        )
