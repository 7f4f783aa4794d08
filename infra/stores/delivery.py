"""Firehose: rows from archive become Parquet files, partitioned by the day they arrived."""

import math
from dataclasses import dataclass
from typing import cast

from aws_cdk import Aws, Duration, RemovalPolicy, Size, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesisfirehose as firehose
from aws_cdk import aws_logs as logs
from constructs import Construct, DependencyGroup, IConstruct

from infra.building_blocks.access import Access, Reach
from infra.building_blocks.foundation import Foundation
from infra.building_blocks.operations import counted
from infra.building_blocks.retention import kept_for
from infra.deployment import require
from infra.stores.buckets import Bucket
from infra.stores.catalog import Catalog

LATE_SECONDS = 600
QUOTA_PERCENT = 80


@dataclass(frozen=True)
class DeliveryProfile:
    """When Firehose writes a file: at this age or this size, whichever comes first. And how much it has to take."""

    interval_seconds: int
    size_mib: int
    peak_mib_per_second: float
    """Rows of the busiest hour."""
    quota_mib_per_second: float
    """What AWS lets one stream take: 5 in the larger regions, 1 in others, more on request."""

    def __post_init__(self) -> None:
        require(64 <= self.size_mib <= 128, "Firehose buffers 64 to 128 MiB when it converts to Parquet")
        require(0 < self.interval_seconds <= 900, "Firehose buffers for at most 900 s")
        require(self.quota_mib_per_second > 0, "a stream takes something")

    @property
    def streams(self) -> int:
        """As many as the peak needs without an alarm."""
        return math.ceil(100 * self.peak_mib_per_second / (QUOTA_PERCENT * self.quota_mib_per_second))


class Delivery(Construct):
    """The delivery streams into the raw bucket. They write rows that fail beside the data."""

    def __init__(
        self, scope: Construct, foundation: Foundation, settings: DeliveryProfile, *, raw: Bucket, catalog: Catalog
    ) -> None:
        super().__init__(scope, "Delivery")
        self._deployment, self._operations = foundation.deployment, foundation.operations
        self._settings, self._raw, self._catalog = settings, raw, catalog
        # The first keeps the place it had when it was the only one: it would be replaced otherwise, with what it holds.
        names = {"raw": self} | {
            f"raw-{number}": Construct(self, f"Delivery{number}") for number in range(2, settings.streams + 1)
        }
        self._logs = {name: self._log_of(scope) for name, scope in names.items()}
        self._role = self._make_role()
        self._readers = DependencyGroup()
        self._streams = [self._stream(scope, name) for name, scope in names.items()]

    def read_by(self, function: IConstruct) -> None:
        """Register a function that reads rows, from files or where rows are given up."""
        self._readers.add(function)

    def access(self, way: Reach) -> Access:
        """Let a function put records on the streams.

        It depends on the functions that read rows, which is why a row may leave out what its readers derive. reconcile
        cannot be one of them, since it invokes the function: until its own update, it reports what it cannot read and
        tries it again with every run.
        """
        arns = [stream.delivery_stream_arn for stream in self._streams]
        return Access(
            grants=[iam.PolicyStatement(actions=["firehose:PutRecordBatch"], resources=arns)],
            facts={"delivery_streams": ",".join(stream.delivery_stream_name for stream in self._streams)},
            reaches=[way],
            after=[self._readers],
        )

    def _log_of(self, scope: Construct) -> logs.LogGroup:
        return logs.LogGroup(
            scope, "Logs", retention=kept_for(self._deployment.log_days), removal_policy=RemovalPolicy.DESTROY
        )

    def _stream(self, scope: Construct, name: str) -> firehose.DeliveryStream:
        settings, role = self._settings, self._role
        stream = firehose.DeliveryStream(
            scope,
            "Stream",
            delivery_stream_name=self._deployment.named(name),
            encryption=firehose.StreamEncryption.aws_owned_key(),
            # The construct's own grants are wider (it may delete what it wrote): these roles take only ours.
            role=role.without_policy_updates(),
            destination=firehose.S3Bucket(
                self._raw,
                role=role.without_policy_updates(),
                data_output_prefix=f"raw/region={self._deployment.region}/dt=!{{timestamp:yyyy-MM-dd}}/",
                error_output_prefix="errors/raw/!{firehose:error-output-type}/dt=!{timestamp:yyyy-MM-dd}/",
                buffering_interval=Duration.seconds(settings.interval_seconds),
                buffering_size=Size.mebibytes(settings.size_mib),
                logging_config=firehose.EnableLogging(self._logs[name]),
                data_format_conversion=firehose.DataFormatConversionProps(
                    # By default, Firehose lowers the case of every key, those of the metrics map too: cpuTemp
                    # would be renamed, and an event with both Rpm and rpm would be unreadable.
                    input_format=firehose.OpenXJsonInputFormat(lowercase_column_names=False),
                    output_format=firehose.OutputFormat.PARQUET,
                    schema_configuration=firehose.SchemaConfiguration.from_cfn_table(self._catalog.raw_events),
                ),
            ),
        )
        stream.node.add_dependency(role)
        # AWS does not read it. The cost model does: no property says how much a stream takes.
        cast("firehose.CfnDeliveryStream", stream.node.default_child).add_metadata(
            "QuotaMiBPerSecond", settings.quota_mib_per_second
        )
        self._watch(scope, {"DeliveryStreamName": stream.delivery_stream_name})
        return stream

    def _watch(self, scope: Construct, stream: dict[str, str]) -> None:
        self._operations.alarm(
            scope,
            "late",
            metric=counted("AWS/Firehose", "DeliveryToS3.DataFreshness", stream, minutes=5, statistic="Maximum"),
            above=self._settings.interval_seconds + LATE_SECONDS,
            # The age of the oldest unwritten row. Without one, there is no data.
            means="Firehose cannot write: rows have waited for minutes. Firehose keeps them for one day only.",
        )
        self._operations.alarm(
            scope,
            "unconverted",
            metric=counted("AWS/Firehose", "FailedConversion.Records", stream, minutes=5),
            means="Rows did not fit the table. salvage turns them into dead letters with the reason `delivery_failed`.",
        )

        self._operations.alarm(
            scope,
            "throttled",
            metric=counted("AWS/Firehose", "ThrottledRecords", stream, minutes=5),
            times=2,
            means="Firehose has refused rows above its quota for ten minutes. archive sends them again, and falls"
            " behind.",
        )
        self._operations.alarm(
            scope,
            "quota",
            metric=_quota_used(stream),
            above=QUOTA_PERCENT,
            times=3,
            means=f"The delivery stream has taken more than {QUOTA_PERCENT} % of its quota for a quarter of an hour.",
        )

    def _make_role(self) -> iam.Role:
        """Return the role Firehose works under: write two prefixes, read one table's schema, say what failed."""
        stack = Stack.of(self)

        def glue_arn(resource: str, resource_name: str | None = None) -> str:
            return stack.format_arn(service="glue", resource=resource, resource_name=resource_name)

        return iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "firehose.amazonaws.com", conditions={"StringEquals": {"sts:ExternalId": Aws.ACCOUNT_ID}}
            ),
            inline_policies={
                "deliver": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            actions=["s3:AbortMultipartUpload", "s3:PutObject"],
                            resources=[self._raw.arn_for_objects("raw/*"), self._raw.arn_for_objects("errors/*")],
                        ),
                        iam.PolicyStatement(
                            actions=["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
                            resources=[self._raw.bucket_arn],
                        ),
                        self._raw.may_use_key("kms:Decrypt", "kms:GenerateDataKey"),
                        iam.PolicyStatement(
                            actions=["glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions"],
                            resources=[
                                glue_arn("catalog"),
                                glue_arn("database", self._catalog.database_name),
                                glue_arn("table", f"{self._catalog.database_name}/raw_events"),
                            ],
                        ),
                        iam.PolicyStatement(
                            actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                            resources=[group.log_group_arn for group in self._logs.values()],
                        ),
                    ]
                )
            },
        )


def _quota_used(stream: dict[str, str]) -> cloudwatch.IMetric:
    """Compute the percentage of its bytes a second that a stream takes. AWS reports the quota, which it may raise."""
    return cloudwatch.MathExpression(
        expression="100 * taken / 300 / quota",
        using_metrics={
            "taken": counted("AWS/Firehose", "IncomingBytes", stream, minutes=5),
            "quota": counted("AWS/Firehose", "BytesPerSecondLimit", stream, minutes=5, statistic="Minimum"),
        },
        period=Duration.minutes(5),
    )
