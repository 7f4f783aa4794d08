"""The buckets: private, encrypted, TLS only, and each with an end for everything in it."""

from dataclasses import dataclass

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.building_blocks.findings import accept
from infra.settings import Profile

# Of rollups that are being moved: by then they were, or somebody has long been called.
STAGED_DAYS = 30


@dataclass(frozen=True)
class Expiry:
    """After how many days objects under a prefix are deleted; no prefix means the whole bucket."""

    days: int
    prefix: str | None = None


class Buckets(Construct):
    """Raw events, dead letters, batches that no consumer could take, older rollups, and the results of queries."""

    def __init__(self, scope: Construct, name: str, *, profile: Profile, key: kms.IKey) -> None:
        super().__init__(scope, name)
        accept(
            self,
            "S1",
            "services write these objects, and Athena, which keeps who asked what, reads them",
        )
        self._key = key
        self._removal = RemovalPolicy.RETAIN if profile.keeps_data else RemovalPolicy.DESTROY
        retention = profile.retention
        self.raw = self._bucket(
            "Raw",
            Expiry(retention.raw_days, prefix="raw/"),
            Expiry(retention.delivery_error_days, prefix="errors/"),
            Expiry(retention.delivery_error_days, prefix="salvaged/"),
        )
        self.dead_letter = self._bucket("DeadLetter", Expiry(retention.dead_letter_days))
        # What waits and, under salvaged/, what did: that is written anew, so its days begin again.
        self.failed_batches = self._bucket("FailedBatches", Expiry(retention.failed_batch_days))
        self.rollups = self._bucket("Rollups", Expiry(retention.rollup_days), Expiry(STAGED_DAYS, prefix="staging/"))
        self.query_results = self._bucket("QueryResults", Expiry(retention.query_result_days))

    def _bucket(self, name: str, *expiries: Expiry) -> s3.Bucket:
        return s3.Bucket(
            self,
            name,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self._key,
            bucket_key_enabled=True,
            enforce_ssl=True,
            lifecycle_rules=[
                s3.LifecycleRule(expiration=Duration.days(expiry.days), prefix=expiry.prefix) for expiry in expiries
            ]
            + [s3.LifecycleRule(abort_incomplete_multipart_upload_after=Duration.days(1))],
            removal_policy=self._removal,
        )
