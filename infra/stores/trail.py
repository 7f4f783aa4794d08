"""The trail: who read, wrote or deleted an object that holds events or numbers, as CloudTrail recorded it."""

from collections.abc import Sequence

from aws_cdk import Stack
from aws_cdk import aws_cloudtrail as cloudtrail
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.building_blocks.findings import accept
from infra.building_blocks.foundation import Foundation
from infra.stores.buckets import Bucket, Expiry

SERVICE = "cloudtrail.amazonaws.com"


class Trail(Construct):
    """Every request to the objects of some buckets, in a bucket from which no one may delete.

    CloudTrail signs what it delivers each hour, so that an auditor can tell whether a file is missing or was altered.
    S3's own access logs are delivered as far as possible, and unsigned.
    """

    def __init__(self, scope: Construct, foundation: Foundation, buckets: Sequence[Bucket], *, days: int) -> None:
        super().__init__(scope, "Trail")
        name = foundation.deployment.named("objects")
        arn = Stack.of(self).format_arn(service="cloudtrail", resource="trail", resource_name=name)
        self._key, self._region = foundation.key, foundation.deployment.region
        self._bucket = bucket = Bucket(
            self, "Bucket", field="trail_bucket", foundation=foundation, expiries=[Expiry(days)]
        )
        accept(bucket, "S1", "a log of the log would never end; CloudTrail's digests show what is missing or altered")
        bucket.forbid_deletes()
        of_the_trail = {"StringEquals": {"aws:SourceArn": arn}}
        for action, resource in (
            ("s3:GetBucketAcl", bucket.bucket_arn),
            ("s3:PutObject", bucket.arn_for_objects("AWSLogs/*")),
        ):
            bucket.add_to_resource_policy(_may([action], resource, of_the_trail))
        foundation.key.add_to_resource_policy(_may(["kms:DescribeKey", "kms:GenerateDataKey"], "*", of_the_trail))
        trail = cloudtrail.CfnTrail(
            self,
            "Trail",
            trail_name=name,
            s3_bucket_name=bucket.bucket_name,
            kms_key_id=foundation.key.key_arn,
            is_logging=True,
            enable_log_file_validation=True,
            is_multi_region_trail=False,
            include_global_service_events=False,
            advanced_event_selectors=[
                cloudtrail.CfnTrail.AdvancedEventSelectorProperty(
                    name="Objects with events and numbers",
                    field_selectors=[
                        _equals("eventCategory", "Data"),
                        _equals("resources.type", "AWS::S3::Object"),
                        cloudtrail.CfnTrail.AdvancedFieldSelectorProperty(
                            field="resources.ARN", starts_with=[each.arn_for_objects("") for each in buckets]
                        ),
                    ],
                )
            ],
        )
        # CloudTrail tries to write when it is created.
        trail.node.add_dependency(bucket)
        trail.node.add_dependency(foundation.key)

    def reading(self) -> list[iam.PolicyStatement]:
        """Let a person download the files, and check that none is missing or altered."""
        return [
            # Neither has a resource.
            iam.PolicyStatement(actions=["cloudtrail:DescribeTrails", "cloudtrail:ListPublicKeys"], resources=["*"]),
            iam.PolicyStatement(actions=["s3:GetObject"], resources=[self._bucket.arn_for_objects("AWSLogs/*")]),
            iam.PolicyStatement(actions=["s3:GetBucketLocation", "s3:ListBucket"], resources=[self._bucket.bucket_arn]),
            # The key encrypts everything at rest: a person uses it through S3, and for this bucket. CloudTrail encrypts
            # each file under its own name, and S3 with a key of the bucket under the bucket's.
            iam.PolicyStatement(
                actions=["kms:Decrypt"],
                resources=[self._key.key_arn],
                conditions={
                    "StringEquals": {"kms:ViaService": f"s3.{self._region}.amazonaws.com"},
                    "StringLike": {
                        "kms:EncryptionContext:aws:s3:arn": [
                            self._bucket.bucket_arn,
                            self._bucket.arn_for_objects("AWSLogs/*"),
                        ]
                    },
                },
            ),
        ]


def _may(actions: list[str], resource: str, conditions: dict[str, dict[str, str]]) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        principals=[iam.ServicePrincipal(SERVICE)], actions=actions, resources=[resource], conditions=conditions
    )


def _equals(field: str, value: str) -> cloudtrail.CfnTrail.AdvancedFieldSelectorProperty:
    return cloudtrail.CfnTrail.AdvancedFieldSelectorProperty(field=field, equal_to=[value])
