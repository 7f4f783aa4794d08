"""The buckets: private, encrypted, TLS only, and with an expiry for every object that is not replaced in place."""

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.building_blocks.access import Access, Reach
from infra.building_blocks.findings import accept
from infra.building_blocks.foundation import Foundation
from infra.building_blocks.retention import removal_from
from sluice.edge.matching.tables import IDS
from sluice.edge.notify.told import FOLDER as NOTIFIED
from sluice.edge.replay.planning import LISTS

# By then, staged rollups have been moved, or an alarm has long been raised.
STAGED_DAYS = 30
# A plan is valid for a day, and its replay takes at most another one.
LIST_DAYS = 7
# Ids are compared with those of 26 hours.
ID_DAYS = 2
# A dead letter of a notification is kept for 14 days, and may then be sent again.
NOTIFIED_DAYS = 30


@dataclass(frozen=True)
class Retention:
    """How many days each bucket keeps what it holds."""

    raw_days: int
    dead_letter_days: int
    failed_batch_days: int
    delivery_error_days: int
    query_result_days: int
    rollup_days: int
    trail_days: int
    """Who asked for what in the other buckets."""


@dataclass(frozen=True)
class Expiry:
    """After how many days objects under a prefix are deleted; no prefix means the whole bucket."""

    days: int
    prefix: str | None = None


class Bucket(s3.Bucket):
    """One bucket; functions read its name as `field`."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        field: str,
        foundation: Foundation,
        expiries: Sequence[Expiry],
        lock: s3.ObjectLockRetention | None = None,
    ) -> None:
        super().__init__(
            scope,
            name,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=foundation.key,
            bucket_key_enabled=True,
            enforce_ssl=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    expiration=Duration.days(expiry.days),
                    # Object Lock needs versions: an expired object is one version of several.
                    noncurrent_version_expiration=Duration.days(1) if lock else None,
                    prefix=expiry.prefix,
                )
                for expiry in expiries
            ]
            + [s3.LifecycleRule(abort_incomplete_multipart_upload_after=Duration.days(1))],
            versioned=True if lock else None,
            object_lock_default_retention=lock,
            removal_policy=removal_from(foundation.deployment),
        )
        self._field = field
        self._key = foundation.key

    def access(
        self,
        way: Reach | None,
        *,
        reads: Sequence[str] = (),
        writes: Sequence[str] = (),
        deletes: Sequence[str] = (),
        lists: str | None = None,
    ) -> Access:
        """Let a function read, write and delete below prefixes, and list below one; `""` is all of the bucket.

        Functions inside the private network reach the bucket through `way`. A function outside needs none.
        """
        allowed = {"s3:GetObject": reads, "s3:PutObject": writes, "s3:DeleteObject": deletes}
        grants = [
            iam.PolicyStatement(
                actions=[action for action, below in allowed.items() if prefix in below],
                resources=[self.arn_for_objects(f"{prefix}*")],
            )
            for prefix in dict.fromkeys([*reads, *writes, *deletes])
        ]
        if lists is not None:
            # A function lists by days and hours below it.
            below = {"StringLike": {"s3:prefix": f"{lists}*"}} if lists else None
            grants.append(iam.PolicyStatement(actions=["s3:ListBucket"], resources=[self.bucket_arn], conditions=below))
        uses_of_key = [*(["kms:Decrypt"] if reads else []), *(["kms:GenerateDataKey"] if writes else [])]
        return Access(
            grants=[*grants, self.may_use_key(*uses_of_key)],
            facts={self._field: self.bucket_name},
            reaches=[way] if way else [],
        )

    def forbid_deletes(self, prefix: str = "", *, but_of: str | None = None) -> None:
        """Leave deletes below a prefix to the bucket's own expiry, whatever a role allows; one role is excepted.

        Lifecycle rules are no one's calls, and no policy reaches them.
        """
        self.add_to_resource_policy(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["s3:DeleteObject", "s3:DeleteObjectVersion"],
                resources=[self.arn_for_objects(f"{prefix}*")],
                conditions={"ArnNotLike": {"aws:PrincipalArn": but_of}} if but_of else None,
            )
        )

    def may_use_key(self, *actions: str) -> iam.PolicyStatement:
        """Grant uses of the key that objects are encrypted with."""
        return iam.PolicyStatement(actions=list(actions), resources=[self._key.key_arn])


class Buckets(Construct):
    """Events, dead letters, batches that no consumer took, older rollups, control data, and the results of queries."""

    def __init__(self, scope: Construct, foundation: Foundation, retention: Retention) -> None:
        super().__init__(scope, "Buckets")
        accept(
            self,
            "S1",
            "where data is kept, CloudTrail records each request; these logs are neither complete nor signed",
        )

        def bucket(name: str, field: str, *expiries: Expiry) -> Bucket:
            return Bucket(self, name, field=field, foundation=foundation, expiries=expiries)

        self.raw = bucket(
            "Raw",
            "raw_bucket",
            Expiry(retention.raw_days, prefix="raw/"),
            Expiry(retention.delivery_error_days, prefix="errors/"),
            Expiry(retention.delivery_error_days, prefix="salvaged/"),
        )
        self.dead_letter = bucket("DeadLetter", "dead_letter_bucket", Expiry(retention.dead_letter_days))
        # Waiting batches, and under salvaged/ those already handled. These are new objects: their days begin again.
        self.failed_batches = bucket("FailedBatches", "failed_batch_bucket", Expiry(retention.failed_batch_days))
        self.rollups = bucket(
            "Rollups", "rollup_bucket", Expiry(retention.rollup_days), Expiry(STAGED_DAYS, prefix="staging/")
        )
        # One object for each kind of control data, replaced whenever something changes; the lists of replays; the ids
        # of stored events; and the latest message of each incident that was told.
        self.control = bucket(
            "Control",
            "control_bucket",
            Expiry(LIST_DAYS, prefix=LISTS),
            Expiry(ID_DAYS, prefix=IDS),
            Expiry(NOTIFIED_DAYS, prefix=NOTIFIED),
        )
        if foundation.deployment.keeps_data:
            # The functions' roles exist after the buckets, so this one is named as CloudFormation names it.
            named = f"role/{foundation.deployment.named('pipeline')}-SalvageRole*"
            salvage = Stack.of(self).format_arn(service="iam", region="", resource=named)
            self.dead_letter.forbid_deletes()
            self.raw.forbid_deletes("raw/")
            self.raw.forbid_deletes("salvaged/")
            self.raw.forbid_deletes("errors/", but_of=salvage)
        self.query_results = bucket("QueryResults", "result_bucket", Expiry(retention.query_result_days))
