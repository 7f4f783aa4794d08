"""Firehose: rows from archive become Parquet files, partitioned by the day they arrived."""

from dataclasses import dataclass

from aws_cdk import Aws, Duration, RemovalPolicy, Size, Stack
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


@dataclass(frozen=True)
class DeliveryProfile:
    """When Firehose writes a file: at this age or this size, whichever comes first."""

    interval_seconds: int
    size_mib: int

    def __post_init__(self) -> None:
        require(64 <= self.size_mib <= 128, "Firehose buffers 64 to 128 MiB when it converts to Parquet")
        require(0 < self.interval_seconds <= 900, "Firehose buffers for at most 900 s")


class Delivery(Construct):
    """One delivery stream into the raw bucket. It writes rows that fail beside the data."""

    def __init__(
        self, scope: Construct, foundation: Foundation, settings: DeliveryProfile, *, raw: Bucket, catalog: Catalog
    ) -> None:
        super().__init__(scope, "Delivery")
        deployment, operations = foundation.deployment, foundation.operations
        delivery_logs = logs.LogGroup(
            self, "Logs", retention=kept_for(deployment.log_days), removal_policy=RemovalPolicy.DESTROY
        )
        role = self._role(raw, catalog, delivery_logs)
        self.stream = firehose.DeliveryStream(
            self,
            "Stream",
            delivery_stream_name=deployment.named("raw"),
            encryption=firehose.StreamEncryption.aws_owned_key(),
            # The construct's own grants are wider (it may delete what it wrote): these roles take only ours.
            role=role.without_policy_updates(),
            destination=firehose.S3Bucket(
                raw,
                role=role.without_policy_updates(),
                data_output_prefix=f"raw/region={deployment.region}/dt=!{{timestamp:yyyy-MM-dd}}/",
                error_output_prefix="errors/raw/!{firehose:error-output-type}/dt=!{timestamp:yyyy-MM-dd}/",
                buffering_interval=Duration.seconds(settings.interval_seconds),
                buffering_size=Size.mebibytes(settings.size_mib),
                logging_config=firehose.EnableLogging(delivery_logs),
                data_format_conversion=firehose.DataFormatConversionProps(
                    # By default, Firehose lowers the case of every key, those of the metrics map too: cpuTemp
                    # would be renamed, and an event with both Rpm and rpm would be unreadable.
                    input_format=firehose.OpenXJsonInputFormat(lowercase_column_names=False),
                    output_format=firehose.OutputFormat.PARQUET,
                    schema_configuration=firehose.SchemaConfiguration.from_cfn_table(catalog.raw_events),
                ),
            ),
        )
        self.stream.node.add_dependency(role)
        self._readers = DependencyGroup()
        stream = {"DeliveryStreamName": self.stream.delivery_stream_name}
        operations.alarm(
            self,
            "late",
            metric=counted("AWS/Firehose", "DeliveryToS3.DataFreshness", stream, minutes=5, statistic="Maximum"),
            above=settings.interval_seconds + LATE_SECONDS,
            # The age of the oldest unwritten row. Without one, there is no data.
            means="Firehose cannot write: rows have waited for minutes. Firehose keeps them for one day only.",
        )
        operations.alarm(
            self,
            "unconverted",
            metric=counted("AWS/Firehose", "FailedConversion.Records", stream, minutes=5),
            means="Rows did not fit the table. salvage turns them into dead letters with the reason `delivery_failed`.",
        )

    def read_by(self, function: IConstruct) -> None:
        """Register a function that reads rows, from files or where rows are given up."""
        self._readers.add(function)

    def access(self, way: Reach) -> Access:
        """Let a function put records on the stream.

        It depends on the functions that read rows, which is why a row may leave out what its readers derive. reconcile
        cannot be one of them, since it invokes the function: until its own update, it reports what it cannot read and
        tries it again with every run.
        """
        arn = self.stream.delivery_stream_arn
        return Access(
            grants=[iam.PolicyStatement(actions=["firehose:PutRecordBatch"], resources=[arn])],
            facts={"delivery_stream": self.stream.delivery_stream_name},
            reaches=[way],
            after=[self._readers],
        )

    def _role(self, raw: Bucket, catalog: Catalog, delivery_logs: logs.LogGroup) -> iam.Role:
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
                            resources=[raw.arn_for_objects("raw/*"), raw.arn_for_objects("errors/*")],
                        ),
                        iam.PolicyStatement(
                            actions=["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
                            resources=[raw.bucket_arn],
                        ),
                        raw.may_use_key("kms:Decrypt", "kms:GenerateDataKey"),
                        iam.PolicyStatement(
                            actions=["glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions"],
                            resources=[
                                glue_arn("catalog"),
                                glue_arn("database", catalog.database_name),
                                glue_arn("table", f"{catalog.database_name}/raw_events"),
                            ],
                        ),
                        iam.PolicyStatement(
                            actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                            resources=[delivery_logs.log_group_arn],
                        ),
                    ]
                )
            },
        )
