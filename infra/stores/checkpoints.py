"""Checkpoints of the audit: the key that signs them, and the bucket that keeps each of them under Object Lock."""

from dataclasses import dataclass
from typing import Literal

from aws_cdk import CfnOutput, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.building_blocks.access import Access, Reach
from infra.building_blocks.findings import accept
from infra.building_blocks.foundation import Foundation
from infra.building_blocks.retention import removal_from
from infra.deployment import require
from infra.stores.buckets import Bucket, Expiry
from sluice.core.control.checkpoints import FOLDER


@dataclass(frozen=True)
class Lock:
    """How long no one can delete a checkpoint. Under `governance`, a permission of its own can; else not even root."""

    days: int
    mode: Literal["governance", "compliance"]

    def __post_init__(self) -> None:
        require(self.days >= 1, "Object Lock counts in days, and a checkpoint must be locked")

    def retention(self) -> s3.ObjectLockRetention:
        """Return the lock of each new object."""
        days = Duration.days(self.days)
        if self.mode == "compliance":
            return s3.ObjectLockRetention.compliance(days)
        return s3.ObjectLockRetention.governance(days)


class Checkpoints(Construct):
    """The one bucket whose objects no one can delete. Data must stay erasable, and is in other buckets."""

    def __init__(self, scope: Construct, foundation: Foundation, lock: Lock) -> None:
        super().__init__(scope, "Checkpoints")
        deployment = foundation.deployment
        self._region = deployment.region
        self._encryption = foundation.key
        self._key_name = f"alias/{deployment.named('checkpoints')}"
        self._key = kms.Key(
            self,
            "Key",
            description=f"Sluice {deployment.stage}: signs checkpoints of the audit",
            alias=self._key_name,
            key_spec=kms.KeySpec.ECC_NIST_P256,
            key_usage=kms.KeyUsage.SIGN_VERIFY,
            removal_policy=removal_from(deployment),
        )
        self._bucket = Bucket(
            self,
            "Bucket",
            field="checkpoint_bucket",
            foundation=foundation,
            # A newer one stands for all before it, and a stage has a new one after half of this time at the latest.
            expiries=[Expiry(lock.days + 1)],
            lock=lock.retention(),
        )
        accept(self._bucket, "S1", "no one can delete or alter its objects, and they hold hashes: no log adds to that")
        CfnOutput(self, "BucketName", value=self._bucket.bucket_name)
        CfnOutput(self, "KeyArn", value=self._key.key_arn)

    def signing(self, way_to_bucket: Reach, way_to_key: Reach) -> Access:
        """Let a function sign checkpoints and store them."""
        objects = self._bucket.arn_for_objects(f"{FOLDER}*")
        return Access(
            grants=[
                iam.PolicyStatement(actions=["kms:Sign", "kms:Verify"], resources=[self._key.key_arn]),
                iam.PolicyStatement(actions=["s3:GetObjectVersion", "s3:PutObject"], resources=[objects]),
                self._listing(),
                self._bucket.may_use_key("kms:Decrypt", "kms:GenerateDataKey"),
            ],
            facts={"checkpoint_bucket": self._bucket.bucket_name, "checkpoint_key": self._key_name},
            reaches=[way_to_bucket, way_to_key],
        )

    def reading(self) -> list[iam.PolicyStatement]:
        """Let a person download checkpoints and the public key."""
        return [
            iam.PolicyStatement(actions=["kms:GetPublicKey"], resources=[self._key.key_arn]),
            iam.PolicyStatement(
                actions=["s3:GetObjectVersion"], resources=[self._bucket.arn_for_objects(f"{FOLDER}*")]
            ),
            self._listing(),
            # The key encrypts everything at rest: a person uses it through S3, and for this bucket.
            iam.PolicyStatement(
                actions=["kms:Decrypt"],
                resources=[self._encryption.key_arn],
                conditions={
                    "StringEquals": {
                        "kms:ViaService": f"s3.{self._region}.amazonaws.com",
                        "kms:EncryptionContext:aws:s3:arn": self._bucket.bucket_arn,
                    }
                },
            ),
        ]

    def _listing(self) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            actions=["s3:ListBucketVersions"],
            resources=[self._bucket.bucket_arn],
            conditions={"StringEquals": {"s3:prefix": FOLDER}},
        )
