"""The table of resource types and properties: what each of them is in the local stack.

A type or a property that is not here stops the start with its name, so that nothing the templates say is lost silently.
Property paths are dotted and pass through lists; a path covers all that lies below it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from local.template import Assembly, Resource


class UnknownTemplatePart(Exception):
    """The templates use types or properties the local stack has no decision about; the message lists all of them."""


class Treatment(StrEnum):
    """What a resource becomes."""

    CREATED = "created"  # in the AWS emulation, from its template
    REAL = "real"  # a real service runs for it
    MODELLED = "modelled"  # one of our models acts for it
    IGNORED = "ignored"  # has no effect here, for the reason given


@dataclass(frozen=True)
class Kind:
    """One resource type: its treatment, the properties that are obeyed and those that are not, with the reason."""

    treatment: Treatment
    handled: tuple[str, ...] = ()
    ignored: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""


def ignored(reason: str) -> Kind:
    return Kind(Treatment.IGNORED, reason=reason)


ACCESS = "nothing here checks these permissions; template tests do"
ENCRYPTION = "loopback and disposable disks are not encrypted"
NETWORK = "every part listens on loopback"
LOGS = "logs are files in the stack's directory"
LABEL = "a label for people"
SHIFTED = "there is one version here, the source: nothing shifts"
OBSERVED = "nothing observes a laptop; template tests read it"
CLUSTER = "the local brokers run from the topics' and the configuration's settings"
SIZING = "sizes and maintenance of a managed service"
CDK_PROVIDER = "the CDK's own custom resource; a deployment needs it, a local start does not"

_CONVERSION = "ExtendedS3DestinationConfiguration.DataFormatConversionConfiguration"

KINDS: dict[str, Kind] = {
    # Created in the AWS emulation.
    "AWS::S3::Bucket": Kind(
        Treatment.CREATED,
        handled=(
            "BucketName",
            "LifecycleConfiguration",
            "ObjectLockConfiguration.ObjectLockEnabled",
            "ObjectLockConfiguration.Rule.DefaultRetention.Days",
            "ObjectLockConfiguration.Rule.DefaultRetention.Mode",
            "ObjectLockEnabled",
            "VersioningConfiguration",
        ),
        ignored={
            "BucketEncryption": ENCRYPTION,
            "PublicAccessBlockConfiguration": ACCESS,
            "OwnershipControls": ACCESS,
            "LoggingConfiguration": OBSERVED,
            "Tags": LABEL,
        },
    ),
    "AWS::Glue::Database": Kind(
        Treatment.CREATED, handled=("DatabaseInput", "DatabaseName"), ignored={"CatalogId": ACCESS}
    ),
    "AWS::Glue::Table": Kind(Treatment.CREATED, handled=("TableInput", "DatabaseName"), ignored={"CatalogId": ACCESS}),
    "AWS::SNS::Topic": Kind(
        Treatment.CREATED,
        handled=("ContentBasedDeduplication", "FifoTopic", "TopicName"),
        ignored={"DisplayName": LABEL, "KmsMasterKeyId": ENCRYPTION, "Tags": LABEL},
    ),
    "AWS::SQS::Queue": Kind(
        Treatment.CREATED,
        handled=("FifoQueue", "MessageRetentionPeriod", "QueueName", "RedrivePolicy", "VisibilityTimeout"),
        ignored={"KmsMasterKeyId": ENCRYPTION, "SqsManagedSseEnabled": ENCRYPTION, "Tags": LABEL},
    ),
    # Keys that sign; those that encrypt have nothing to do here.
    "AWS::KMS::Key": Kind(
        Treatment.CREATED,
        handled=("KeySpec", "KeyUsage"),
        ignored={"Description": LABEL, "EnableKeyRotation": ENCRYPTION, "KeyPolicy": ACCESS, "Tags": LABEL},
    ),
    "AWS::KMS::Alias": Kind(Treatment.CREATED, handled=("AliasName", "TargetKeyId")),
    "AWS::SecretsManager::Secret": Kind(
        Treatment.CREATED,
        handled=("Name", "GenerateSecretString", "SecretString"),
        ignored={"Description": LABEL, "KmsKeyId": ENCRYPTION, "Tags": LABEL},
    ),
    "AWS::SecretsManager::SecretTargetAttachment": Kind(
        Treatment.CREATED, handled=("SecretId",), ignored={"TargetId": NETWORK, "TargetType": NETWORK}
    ),
    # The emulation runs it, as local/models/step_functions.py says.
    "AWS::StepFunctions::StateMachine": Kind(
        Treatment.CREATED,
        handled=("DefinitionString", "DefinitionSubstitutions", "RoleArn", "StateMachineName", "StateMachineType"),
        ignored={
            "EncryptionConfiguration": ENCRYPTION,
            "LoggingConfiguration": LOGS,
            "Tags": LABEL,
            "TracingConfiguration": OBSERVED,
        },
    ),
    # Real services.
    "AWS::MSK::Cluster": Kind(
        Treatment.REAL,
        handled=(
            "BrokerNodeGroupInfo.StorageInfo.EBSStorageInfo.VolumeSize",
            "ClusterName",
            "NumberOfBrokerNodes",
        ),
        ignored={
            "BrokerNodeGroupInfo.ClientSubnets": NETWORK,
            "BrokerNodeGroupInfo.InstanceType": SIZING,
            "BrokerNodeGroupInfo.SecurityGroups": NETWORK,
            "ClientAuthentication": ACCESS,
            "ConfigurationInfo": CLUSTER,
            "EncryptionInfo": ENCRYPTION,
            "EnhancedMonitoring": OBSERVED,
            "KafkaVersion": "the version of the local brokers is pinned with them",
            "LoggingInfo": LOGS,
            "OpenMonitoring": OBSERVED,
            "Rebalancing": SIZING,
            "StorageMode": SIZING,
            "Tags": LABEL,
        },
    ),
    "AWS::MSK::Configuration": Kind(
        Treatment.REAL,
        handled=("ServerProperties",),
        ignored={"Name": LABEL, "Description": LABEL, "KafkaVersionsList": CLUSTER, "LatestRevision": CLUSTER},
    ),
    "AWS::MSK::Topic": Kind(
        Treatment.REAL,
        handled=("TopicName", "PartitionCount", "ReplicationFactor", "Configs"),
        ignored={"ClusterArn": CLUSTER},
    ),
    "AWS::RDS::DBInstance": Kind(
        Treatment.REAL,
        handled=("DBName", "MasterUsername"),
        ignored=dict.fromkeys(
            (
                "AllocatedStorage",
                "AllowMajorVersionUpgrade",
                "AutoMinorVersionUpgrade",
                "BackupRetentionPeriod",
                "CACertificateIdentifier",
                "CopyTagsToSnapshot",
                "DBInstanceClass",
                "DBInstanceIdentifier",
                "DBParameterGroupName",
                "DeleteAutomatedBackups",
                "Engine",
                "EngineVersion",
                "Iops",
                "MaxAllocatedStorage",
                "MultiAZ",
                "Port",
                "PreferredBackupWindow",
                "PreferredMaintenanceWindow",
                "StorageThroughput",
                "StorageType",
            ),
            SIZING,
        )
        | dict.fromkeys(("DBSubnetGroupName", "VPCSecurityGroups", "PubliclyAccessible"), NETWORK)
        | dict.fromkeys(("KmsKeyId", "StorageEncrypted", "PerformanceInsightsKMSKeyId"), ENCRYPTION)
        | dict.fromkeys(
            ("EnableIAMDatabaseAuthentication", "ManageMasterUserPassword", "MasterUserPassword", "DeletionProtection"),
            ACCESS,
        )
        | dict.fromkeys(
            (
                "DatabaseInsightsMode",
                "EnableCloudwatchLogsExports",
                "EnablePerformanceInsights",
                "MonitoringInterval",
                "MonitoringRoleArn",
                "PerformanceInsightsRetentionPeriod",
            ),
            OBSERVED,
        )
        | {"Tags": LABEL},
    ),
    "AWS::ElastiCache::ServerlessCache": Kind(
        Treatment.REAL,
        handled=("ServerlessCacheName",),
        ignored=dict.fromkeys(
            ("CacheUsageLimits", "DailySnapshotTime", "Engine", "MajorEngineVersion", "SnapshotRetentionLimit"), SIZING
        )
        | dict.fromkeys(("SecurityGroupIds", "SubnetIds"), NETWORK)
        | {"KmsKeyId": ENCRYPTION, "UserGroupId": ACCESS, "Description": LABEL, "Tags": LABEL},
    ),
    # Our models.
    "AWS::Lambda::Function": Kind(
        Treatment.MODELLED,
        handled=(
            "Code.S3Key",
            "Environment.Variables",
            "FunctionName",
            "Handler",
            "Layers",
            "LoggingConfig.ApplicationLogLevel",
            "LoggingConfig.LogFormat",
            "MemorySize",
            "ReservedConcurrentExecutions",
            "Runtime",
            "Timeout",
        ),
        ignored={
            "Architectures": "the machine's own",
            "Code.S3Bucket": "the asset is read where it was written",
            "Description": LABEL,
            "EphemeralStorage": SIZING,
            "KmsKeyArn": ENCRYPTION,
            "LoggingConfig.LogGroup": LOGS,
            "LoggingConfig.SystemLogLevel": LOGS,
            "RecursiveLoop": ACCESS,
            "Role": ACCESS,
            "Tags": LABEL,
            "VpcConfig": NETWORK,
        },
    ),
    "AWS::Lambda::LayerVersion": Kind(
        Treatment.MODELLED,
        handled=("Content.S3Key",),
        ignored={
            "CompatibleArchitectures": LABEL,
            "CompatibleRuntimes": LABEL,
            "Content.S3Bucket": "the asset is read where it was written",
            "Description": LABEL,
            "LayerName": LABEL,
            "LicenseInfo": LABEL,
        },
    ),
    "AWS::Lambda::Version": Kind(Treatment.MODELLED, handled=("FunctionName",), ignored={"Description": LABEL}),
    "AWS::Lambda::Alias": Kind(
        Treatment.MODELLED,
        handled=("FunctionName", "Name"),
        ignored={
            "FunctionVersion": "there is one version here, the source",
            "ProvisionedConcurrencyConfig": "workers are started on demand and kept",
        },
    ),
    "AWS::Lambda::EventSourceMapping": Kind(
        Treatment.MODELLED,
        handled=(
            "AmazonManagedKafkaEventSourceConfig.ConsumerGroupId",
            "BatchSize",
            "BisectBatchOnFunctionError",
            "DestinationConfig.OnFailure.Destination",
            "Enabled",
            "EventSourceArn",
            "FunctionName",
            "FunctionResponseTypes",
            "MaximumBatchingWindowInSeconds",
            "MaximumRecordAgeInSeconds",
            "MaximumRetryAttempts",
            "ProvisionedPollerConfig.MinimumPollers",
            "ScalingConfig.MaximumConcurrency",
            "StartingPosition",
            "Topics",
        ),
        ignored={
            "KmsKeyArn": ENCRYPTION,
            "LoggingConfig": LOGS,
            "MetricsConfig": OBSERVED,
            "ProvisionedPollerConfig.MaximumPollers": "a laptop does not scale out",
            "ProvisionedPollerConfig.PollerGroupName": "shares a bill",
            "Tags": LABEL,
        },
    ),
    "AWS::Scheduler::Schedule": Kind(
        Treatment.MODELLED,
        handled=("ScheduleExpression", "State", "Target.Arn"),
        ignored={
            "Description": LABEL,
            "FlexibleTimeWindow": "runs start on time here",
            "GroupName": LABEL,
            "KmsKeyArn": ENCRYPTION,
            "Name": LABEL,
            "ScheduleExpressionTimezone": "a rate has none",
            "Target.RetryPolicy": "a run that fails is missed; the next one does its work",
            "Target.RoleArn": ACCESS,
        },
    ),
    "AWS::Lambda::EventInvokeConfig": ignored("a run that cannot start is missed here, and never queued"),
    "AWS::ApiGatewayV2::Api": Kind(
        Treatment.MODELLED,
        handled=("Name", "ProtocolType"),
        ignored={"Description": LABEL, "DisableExecuteApiEndpoint": NETWORK, "Tags": LABEL},
    ),
    "AWS::ApiGatewayV2::Integration": Kind(
        Treatment.MODELLED,
        handled=("ApiId", "IntegrationType", "IntegrationUri", "PayloadFormatVersion", "TimeoutInMillis"),
        ignored={"Description": LABEL, "IntegrationMethod": "functions are always invoked by POST"},
    ),
    "AWS::ApiGatewayV2::Route": Kind(
        Treatment.MODELLED,
        handled=("ApiId", "AuthorizationType", "RouteKey", "Target"),
        ignored={"OperationName": LABEL},
    ),
    "AWS::ApiGatewayV2::Stage": Kind(
        Treatment.MODELLED,
        handled=("AccessLogSettings.Format", "ApiId", "DefaultRouteSettings", "RouteSettings", "StageName"),
        ignored={
            "AccessLogSettings.DestinationArn": LOGS,
            "AutoDeploy": "the model serves what the templates say",
            "Description": LABEL,
            "Tags": LABEL,
        },
    ),
    "AWS::IAM::Role": Kind(
        Treatment.MODELLED,
        handled=("ManagedPolicyArns", "Path", "Policies", "RoleName"),
        ignored={
            "AssumeRolePolicyDocument": "a principal has an access key here; nobody assumes a role",
            "Description": LABEL,
            "MaxSessionDuration": "an access key works until its stack ends",
            "Tags": LABEL,
        },
    ),
    "AWS::KinesisFirehose::DeliveryStream": Kind(
        Treatment.MODELLED,
        handled=(
            "DeliveryStreamName",
            "DeliveryStreamType",
            "ExtendedS3DestinationConfiguration.BucketARN",
            "ExtendedS3DestinationConfiguration.BufferingHints",
            "ExtendedS3DestinationConfiguration.CompressionFormat",
            f"{_CONVERSION}.Enabled",
            f"{_CONVERSION}.InputFormatConfiguration",
            f"{_CONVERSION}.OutputFormatConfiguration",
            f"{_CONVERSION}.SchemaConfiguration.DatabaseName",
            f"{_CONVERSION}.SchemaConfiguration.TableName",
            "ExtendedS3DestinationConfiguration.ErrorOutputPrefix",
            "ExtendedS3DestinationConfiguration.Prefix",
        ),
        ignored={
            "DeliveryStreamEncryptionConfigurationInput": ENCRYPTION,
            "ExtendedS3DestinationConfiguration.CloudWatchLoggingOptions": LOGS,
            f"{_CONVERSION}.SchemaConfiguration.CatalogId": ACCESS,
            f"{_CONVERSION}.SchemaConfiguration.Region": NETWORK,
            f"{_CONVERSION}.SchemaConfiguration.RoleARN": ACCESS,
            f"{_CONVERSION}.SchemaConfiguration.VersionId": "a table has one version here",
            "ExtendedS3DestinationConfiguration.EncryptionConfiguration": ENCRYPTION,
            "ExtendedS3DestinationConfiguration.RoleARN": ACCESS,
            "Tags": LABEL,
        },
    ),
    "Custom::Trigger": Kind(
        Treatment.MODELLED,
        handled=("HandlerArn",),
        ignored={
            "ExecuteOnHandlerChange": "a stack starts once",
            "InvocationType": "the stack waits for every trigger",
            "ServiceToken": CDK_PROVIDER,
            "Timeout": "the function's own timeout binds",
        },
    ),
    "AWS::Athena::WorkGroup": Kind(
        Treatment.MODELLED,
        handled=("Name", "WorkGroupConfiguration.EnforceWorkGroupConfiguration"),
        ignored={
            "RecursiveDeleteOption": "a stack's data goes with it",
            "WorkGroupConfiguration.BytesScannedCutoffPerQuery": "a query costs nothing here",
            "WorkGroupConfiguration.EngineVersion": "DuckDB is the engine",
            "WorkGroupConfiguration.PublishCloudWatchMetricsEnabled": OBSERVED,
            "WorkGroupConfiguration.ResultConfiguration": "results are kept in memory, until the stack ends",
        },
    ),
    "AWS::CloudWatch::Alarm": Kind(
        Treatment.MODELLED,
        handled=(
            "AlarmDescription",
            "AlarmName",
            "ComparisonOperator",
            "Dimensions",
            "EvaluationPeriods",
            "ExtendedStatistic",
            "MetricName",
            "Metrics.Expression",
            "Metrics.Id",
            "Metrics.MetricStat.Metric.Dimensions",
            "Metrics.MetricStat.Metric.MetricName",
            "Metrics.MetricStat.Metric.Namespace",
            "Metrics.MetricStat.Period",
            "Metrics.MetricStat.Stat",
            "Metrics.ReturnData",
            "Namespace",
            "Period",
            "Statistic",
            "Threshold",
            "TreatMissingData",
        ),
        ignored=dict.fromkeys(("AlarmActions", "OKActions"), "no one is notified here"),
    ),
    "AWS::CloudWatch::CompositeAlarm": Kind(
        Treatment.MODELLED,
        handled=(
            "ActionsSuppressor",
            "ActionsSuppressorExtensionPeriod",
            "ActionsSuppressorWaitPeriod",
            "AlarmActions",
            "AlarmDescription",
            "AlarmName",
            "AlarmRule",
        ),
        ignored={"OKActions": "no one is notified here"},
    ),
    "AWS::SNS::Subscription": Kind(
        Treatment.CREATED,
        handled=("Endpoint", "Protocol", "RawMessageDelivery", "TopicArn"),
        ignored={"RedrivePolicy": "here a queue takes every message", "Region": NETWORK},
    ),
    # Without effect here.
    "AWS::Athena::NamedQuery": ignored("a local query reads the same file"),
    "AWS::CDK::Metadata": ignored("says which constructs were used"),
    "AWS::Budgets::Budget": ignored(OBSERVED),
    "AWS::CodeDeploy::Application": ignored(SHIFTED),
    "AWS::CodeDeploy::DeploymentGroup": ignored(SHIFTED),
    "AWS::CloudTrail::Trail": ignored(OBSERVED),
    "AWS::CloudWatch::Dashboard": ignored(OBSERVED),
    "AWS::EC2::EIP": ignored(NETWORK),
    "AWS::EC2::FlowLog": ignored(NETWORK),
    "AWS::EC2::InternetGateway": ignored(NETWORK),
    "AWS::EC2::NatGateway": ignored(NETWORK),
    "AWS::EC2::Route": ignored(NETWORK),
    "AWS::EC2::RouteTable": ignored(NETWORK),
    "AWS::EC2::SecurityGroup": ignored(NETWORK),
    "AWS::EC2::SecurityGroupEgress": ignored(NETWORK),
    "AWS::EC2::SecurityGroupIngress": ignored(NETWORK),
    "AWS::EC2::Subnet": ignored(NETWORK),
    "AWS::EC2::SubnetRouteTableAssociation": ignored(NETWORK),
    "AWS::EC2::VPC": ignored(NETWORK),
    "AWS::EC2::VPCEndpoint": ignored(NETWORK),
    "AWS::EC2::VPCGatewayAttachment": ignored(NETWORK),
    "AWS::ElastiCache::User": ignored(ACCESS),
    "AWS::ElastiCache::UserGroup": ignored(ACCESS),
    # One that speaks of the API's routes stops the start (principals.py).
    "AWS::IAM::ManagedPolicy": ignored(ACCESS),
    "AWS::IAM::Policy": ignored(ACCESS),
    "AWS::Lambda::Permission": ignored(ACCESS),
    "AWS::Logs::LogGroup": ignored(LOGS),
    "AWS::Logs::LogStream": ignored(LOGS),
    "AWS::Logs::ResourcePolicy": ignored(LOGS),
    "AWS::RDS::DBParameterGroup": ignored(SIZING),
    "AWS::RDS::DBSubnetGroup": ignored(NETWORK),
    "AWS::S3::BucketPolicy": ignored(ACCESS),
    "AWS::SNS::TopicPolicy": ignored(ACCESS),
    "AWS::SQS::QueuePolicy": ignored(ACCESS),
    "Custom::KafkaBootstrapBrokers": ignored("asks AWS for the brokers' addresses; the local ones are known"),
    "Custom::LogRetention": ignored(LOGS),
    "Custom::S3AutoDeleteObjects": ignored(CDK_PROVIDER),
    "Custom::VpcRestrictDefaultSG": ignored(CDK_PROVIDER),
}

# Layers that others publish, by what their ARNs contain, and why nothing of them is needed here.
PUBLISHED_LAYERS = {
    ":336392948345:layer:AWSSDKPandas-": "AWS SDK for pandas and all that it brings are in the environment",
}


def provided_by_cdk(resource: Resource) -> bool:
    """Whether this is a function the CDK brings for its custom resources; the product's own are Python."""
    runtime = resource.properties.get("Runtime")
    return resource.type == "AWS::Lambda::Function" and not (isinstance(runtime, str) and runtime.startswith("python"))


def check(assembly: Assembly) -> None:
    """Refuses templates that say something the local stack has no decision about."""
    unknown = [complaint for resource in assembly.resources() for complaint in _complaints(resource)]
    if unknown:
        raise UnknownTemplatePart("the local stack has no decision about:\n  " + "\n  ".join(unknown))


def _complaints(resource: Resource) -> Iterator[str]:
    kind = KINDS.get(resource.type)
    if kind is None:
        yield f"type {resource.type} of {resource.stack}/{resource.logical_id}"
    elif kind.treatment is not Treatment.IGNORED and not provided_by_cdk(resource):
        for path in _unknown_paths(resource.properties, "", {*kind.handled, *kind.ignored}):
            yield f"property {path} of {resource}"


def _unknown_paths(value: Any, path: str, known: set[str]) -> Iterator[str]:
    if path in known:
        return
    below = not path or any(each.startswith(f"{path}.") for each in known)
    if below and isinstance(value, Mapping):
        for name, each in value.items():
            yield from _unknown_paths(each, f"{path}.{name}".lstrip("."), known)
    elif below and isinstance(value, list):
        for each in value:
            yield from _unknown_paths(each, path, known)
    else:
        yield path
