"""What the synthesized templates order, as far as it costs money.

Every type of resource is either read here or listed as free. A new type is an error until someone says what it costs.
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec

from cli.cost.workload import HOURS
from local.template import Assembly, Resource, TemplateError
from sluice.core.consumers import RAW_EVENTS

FREE = {
    "AWS::ApiGatewayV2::Api": "billed by request",
    "AWS::ApiGatewayV2::ApiMapping": "no charge",
    "AWS::ApiGatewayV2::DomainName": "no charge",
    "AWS::ApiGatewayV2::Integration": "part of its API",
    "AWS::ApiGatewayV2::Route": "part of its API",
    "AWS::Athena::NamedQuery": "a stored text",
    "AWS::CodeDeploy::Application": "CodeDeploy shifts functions without charge",
    "AWS::CodeDeploy::DeploymentGroup": "CodeDeploy shifts functions without charge",
    "AWS::CloudFront::CachePolicy": "no charge",
    "AWS::EC2::FlowLog": "billed by the byte; only refused connections are logged, which are rare",
    "AWS::EC2::RouteTable": "no charge",
    "AWS::EC2::SecurityGroup": "no charge",
    "AWS::EC2::SecurityGroupEgress": "no charge",
    "AWS::EC2::SecurityGroupIngress": "no charge",
    "AWS::EC2::Subnet": "no charge",
    "AWS::EC2::SubnetRouteTableAssociation": "no charge",
    "AWS::EC2::VPC": "no charge; what crosses its zones is billed as traffic",
    "AWS::ElastiCache::User": "no charge",
    "AWS::ElastiCache::UserGroup": "no charge",
    "AWS::Glue::Database": "the first million objects of a catalog are free",
    "AWS::Glue::Table": "the first million objects of a catalog are free",
    "AWS::IAM::Policy": "no charge",
    "AWS::IAM::Role": "no charge",
    "AWS::KMS::Alias": "no charge",
    "AWS::Lambda::EventInvokeConfig": "no charge",
    "AWS::Lambda::LayerVersion": "stored without charge",
    "AWS::Lambda::Permission": "no charge",
    "AWS::Lambda::Version": "stored without charge",
    "AWS::Logs::LogGroup": "billed by what is written",
    "AWS::Logs::LogStream": "part of its group",
    "AWS::MSK::Configuration": "no charge",
    "AWS::RDS::DBParameterGroup": "no charge",
    "AWS::RDS::DBSubnetGroup": "no charge",
    "AWS::S3::BucketPolicy": "no charge",
    "AWS::SNS::Subscription": "no charge; SNS delivers to queues for nothing",
    "AWS::SNS::Topic": "billed by message; alarms and incidents send a few",
    "AWS::SNS::TopicPolicy": "no charge",
    "AWS::SQS::Queue": "billed by request; an empty queue that a function polls takes some 2 million a month, 1 USD",
    "AWS::SQS::QueuePolicy": "no charge",
    "AWS::WAFv2::LoggingConfiguration": "billed by what is written, which is what an address sends beyond its share",
    "Custom::KafkaBootstrapBrokers": "runs at deployment",
    "Custom::LogRetention": "runs at deployment",
    "Custom::Trigger": "runs at deployment",
}

BY_USE = {
    "AWS::StepFunctions::StateMachine": "each state that an execution enters is a `step_functions_transition`;"
    " people start executions, a few a month",
}
"""What costs nothing while no one uses it, and has no share in a month's bill."""

FASTEST_SECONDS = 60
"""Alarms of shorter periods have another price."""

_S3 = "ExtendedS3DestinationConfiguration"
# What the model takes for granted: type, property and its only value; None is an absent one. Another may cost more.
GRANTED: tuple[tuple[str, str, Any], ...] = (
    ("AWS::RDS::DBInstance", "StorageType", "gp3"),
    ("AWS::RDS::DBInstance", "Iops", None),
    ("AWS::RDS::DBInstance", "StorageThroughput", None),
    ("AWS::RDS::DBInstance", "MonitoringInterval", None),
    ("AWS::RDS::DBInstance", "EnablePerformanceInsights", None),
    ("AWS::RDS::DBInstance", "DatabaseInsightsMode", None),
    ("AWS::MSK::Cluster", "EnhancedMonitoring", None),
    ("AWS::MSK::Cluster", "StorageMode", None),
    ("AWS::MSK::Cluster", "BrokerNodeGroupInfo.StorageInfo.EBSStorageInfo.ProvisionedThroughput", None),
    ("AWS::ElastiCache::ServerlessCache", "Engine", "valkey"),
    ("AWS::ElastiCache::ServerlessCache", "CacheUsageLimits.DataStorage.Minimum", None),
    ("AWS::ElastiCache::ServerlessCache", "CacheUsageLimits.ECPUPerSecond.Minimum", None),
    ("AWS::ElastiCache::ServerlessCache", "SnapshotRetentionLimit", None),
    ("AWS::KinesisFirehose::DeliveryStream", f"{_S3}.DynamicPartitioningConfiguration", None),
    ("AWS::S3::Bucket", "VersioningConfiguration", None),
    ("AWS::Lambda::Version", "ProvisionedConcurrencyConfig", None),
    ("AWS::StepFunctions::StateMachine", "StateMachineType", "STANDARD"),
)
GRANTED_OF_OURS: tuple[tuple[str, Any], ...] = (
    ("Architectures", ["arm64"]),
    ("EphemeralStorage", None),
    ("LoggingConfig.SystemLogLevel", "WARN"),
    ("LoggingConfig.ApplicationLogLevel", "INFO"),
)
"""The same of our functions. Those of the CDK run only while it deploys."""


class Function(msgspec.Struct, frozen=True):
    """One Lambda function."""

    name: str
    memory_gib: float
    concurrency: int
    traced: bool
    started: int = 0
    runs_a_month: float = 0
    """By its schedule."""


class Pollers(msgspec.Struct, frozen=True):
    """An event source."""

    topic: str
    minimum: int
    group: str
    """The mappings that share poller units."""
    batch_size: int
    window_seconds: float
    counted: bool
    """Whether it writes its own metrics."""


class Brokers(msgspec.Struct, frozen=True):
    """The Kafka cluster. Topics lie on its disks, which are billed by size."""

    instance_type: str
    count: int
    storage_gib: int
    partitions: int
    """Of the topic of accepted events."""


class Streams(msgspec.Struct, frozen=True):
    """The delivery streams together."""

    count: int
    mib_per_second: float
    """What AWS lets them take."""
    interval_seconds: int
    """After which each writes a file."""


class Database(msgspec.Struct, frozen=True):
    """The database instance."""

    instance_type: str
    multi_az: bool
    storage_gib: int
    maximum_storage_gib: int
    backup_days: int


class Deployed(msgspec.Struct, frozen=True):
    """Everything that costs money."""

    functions: Mapping[str, Function]
    pollers: Mapping[str, Pollers]
    """By function."""
    brokers: Brokers
    database: Database
    cache_maximum_gib: int
    cache_maximum_ecpu: int
    streams: Streams
    endpoints: int
    """Interface endpoints, each counted once for each zone it is in."""
    zones: int
    kept_days: Mapping[str, int]
    """By bucket and prefix: the days until objects expire."""
    access_log: tuple[str, ...]
    """The values that one line of the access log holds."""
    access_log_text: int
    """The bytes of a line without its values."""
    throttles: Mapping[str, int]
    """Requests a second, by route."""
    firewall_rules: int
    """Of WAF, if it and CloudFront are in front; else 0."""
    trails: int
    """That record each request to objects."""
    detailed_routes: int
    alarm_metrics: int
    composite_alarms: int
    dashboards: int
    keys: int
    secrets: int
    scan_limit_gib: float
    monthly_budget: float | None


def read_templates(assembly: Assembly) -> Deployed:
    """Read all templates of a deployment."""
    return _Reader(assembly).read()


_MINUTES = {"minute": 1, "hour": 60, "day": 1440}


class _Reader:
    """Reads each type of resource once, and then knows which types it has not read."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._unread = {resource.type: str(resource) for resource in assembly.resources()}
        for kind in (*FREE, *BY_USE):
            self._unread.pop(kind, None)

    def read(self) -> Deployed:
        self._check_granted()
        (brokers,), (database,), (cache,) = map(
            self._all, ("AWS::MSK::Cluster", "AWS::RDS::DBInstance", "AWS::ElastiCache::ServerlessCache")
        )
        (stage,), (workgroup,) = map(self._all, ("AWS::ApiGatewayV2::Stage", "AWS::Athena::WorkGroup"))
        subnets = brokers.properties["BrokerNodeGroupInfo"]["ClientSubnets"]
        alarms = self._all("AWS::CloudWatch::Alarm")
        access_log = json.loads(stage.properties["AccessLogSettings"]["Format"])
        routes = stage.properties["RouteSettings"]
        deployed = Deployed(
            functions=self._functions(),
            pollers=self._pollers(),
            brokers=_brokers(brokers.properties, self._all("AWS::MSK::Topic")),
            database=_database(database.properties),
            cache_maximum_gib=cache.properties["CacheUsageLimits"]["DataStorage"]["Maximum"],
            cache_maximum_ecpu=cache.properties["CacheUsageLimits"]["ECPUPerSecond"]["Maximum"],
            streams=_streams(self._all("AWS::KinesisFirehose::DeliveryStream")),
            endpoints=sum(len(each.properties.get("SubnetIds", ())) for each in self._all("AWS::EC2::VPCEndpoint")),
            zones=len(subnets),
            kept_days=self._kept_days(),
            access_log=tuple(access_log.values()),
            access_log_text=len(json.dumps(dict.fromkeys(access_log, ""))),
            throttles={route: limit["ThrottlingRateLimit"] for route, limit in routes.items()},
            firewall_rules=self._firewall_rules(),
            trails=len(self._all("AWS::CloudTrail::Trail")),
            detailed_routes=sum(limit.get("DetailedMetricsEnabled", False) for limit in routes.values()),
            alarm_metrics=sum(map(_metrics_of, alarms)),
            composite_alarms=len(self._all("AWS::CloudWatch::CompositeAlarm")),
            dashboards=len(self._all("AWS::CloudWatch::Dashboard")),
            keys=len(self._all("AWS::KMS::Key")),
            secrets=int(database.properties.get("ManageMasterUserPassword", False))
            + len(self._all("AWS::SecretsManager::Secret")),
            scan_limit_gib=workgroup.properties["WorkGroupConfiguration"]["BytesScannedCutoffPerQuery"] / 2**30,
            monthly_budget=self._budget(),
        )
        if self._unread:
            named = ", ".join(f"{kind} (as in {one})" for kind, one in sorted(self._unread.items()))
            raise TemplateError(f"these cost something or nothing, and cli/cost/templates.py does not say: {named}")
        return deployed

    def _check_granted(self) -> None:
        checked = [
            (each, path, value)
            for kind, path, value in GRANTED
            for each in self._assembly.resources(kind)
            if not _is_locked(each)
        ]
        functions = [each for each in self._assembly.resources("AWS::Lambda::Function") if _is_ours(each)]
        checked += [(each, path, value) for path, value in GRANTED_OF_OURS for each in functions]
        for resource, path, value in checked:
            found: Any = resource.properties
            for name in path.split("."):
                found = found.get(name) if isinstance(found, Mapping) else None
            if found != value:
                raise TemplateError(f"{resource} {path} is {found!r}; the cost model takes {value!r} for granted")

    def _all(self, kind: str) -> list[Resource]:
        self._unread.pop(kind, None)
        return list(self._assembly.resources(kind))

    def _functions(self) -> dict[str, Function]:
        """Read our functions by verb. Those of the CDK run only while it deploys."""
        started = {
            _target(alias, "FunctionName"): alias.properties["ProvisionedConcurrencyConfig"]
            for alias in self._all("AWS::Lambda::Alias")
            if "ProvisionedConcurrencyConfig" in alias.properties
        }
        runs: defaultdict[tuple[str, str], float] = defaultdict(float)
        for schedule in self._all("AWS::Scheduler::Schedule"):
            target = schedule.properties["Target"]["Arn"]["Fn::GetAtt"][0]
            runs[schedule.stack, target] += _runs_a_month(schedule.properties["ScheduleExpression"])
        read = {}
        for each in self._all("AWS::Lambda::Function"):
            properties = each.properties
            if not _is_ours(each):
                continue
            verb = properties["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
            place = (each.stack, each.logical_id)
            read[verb] = Function(
                name=verb,
                memory_gib=properties["MemorySize"] / 1024,
                concurrency=properties["ReservedConcurrentExecutions"],
                traced=properties.get("TracingConfig", {}).get("Mode") == "Active",
                started=started.get(place, {}).get("ProvisionedConcurrentExecutions", 0),
                runs_a_month=runs[place],
            )
        return read

    def _pollers(self) -> dict[str, Pollers]:
        verbs = {
            (each.stack, each.logical_id): each.properties["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
            for each in self._assembly.resources("AWS::Lambda::Function")
            if _is_ours(each)
        }
        aliases = {
            (each.stack, each.logical_id): _target(each, "FunctionName")
            for each in self._assembly.resources("AWS::Lambda::Alias")
        }
        read = {}
        for mapping in self._all("AWS::Lambda::EventSourceMapping"):
            properties = mapping.properties
            if "Topics" not in properties:
                # A queue's pollers are Lambda's own; their requests are the queue's.
                continue
            invoked = _target(mapping, "FunctionName")
            verb = verbs[aliases.get(invoked, invoked)]
            read[verb] = Pollers(
                topic=properties["Topics"][0],
                minimum=properties["ProvisionedPollerConfig"]["MinimumPollers"],
                group=properties["ProvisionedPollerConfig"].get("PollerGroupName", verb),
                batch_size=properties["BatchSize"],
                window_seconds=properties["MaximumBatchingWindowInSeconds"],
                counted="MetricsConfig" in properties,
            )
        return read

    def _kept_days(self) -> dict[str, int]:
        kept: dict[str, int] = {}
        for bucket in self._all("AWS::S3::Bucket"):
            for rule in bucket.properties["LifecycleConfiguration"]["Rules"]:
                if "Transitions" in rule:
                    raise TemplateError(f"{bucket} moves objects to another storage class: that is not priced")
                if "ExpirationInDays" in rule and rule["Status"] == "Enabled":
                    kept[f"{bucket.logical_id}/{rule.get('Prefix', '')}"] = rule["ExpirationInDays"]
        return kept

    def _firewall_rules(self) -> int:
        """Count the rules of WAF, which is in front of each distribution."""
        distributions, lists = self._all("AWS::CloudFront::Distribution"), self._all("AWS::WAFv2::WebACL")
        if len(distributions) != len(lists):
            raise TemplateError("a distribution without WAF, or WAF without one: cli/cost has no price of either alone")
        return sum(len(each.properties["Rules"]) for each in lists)

    def _budget(self) -> float | None:
        for budget in self._all("AWS::Budgets::Budget"):
            return float(budget.properties["Budget"]["BudgetLimit"]["Amount"])
        return None


def _is_ours(function: Resource) -> bool:
    return "FunctionName" in function.properties


def _is_locked(resource: Resource) -> bool:
    # Of checkpoints: a year of one every five minutes is 60 MB, all versions together.
    return bool(resource.properties.get("ObjectLockEnabled", False))


def _target(resource: Resource, name: str) -> tuple[str, str]:
    """Return the place of the resource that a property refers to."""
    value: Any = resource.properties[name]
    return resource.stack, value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0]


def _brokers(properties: Mapping[str, Any], topics: list[Resource]) -> Brokers:
    nodes = properties["BrokerNodeGroupInfo"]
    (raw,) = (topic for topic in topics if topic.properties["TopicName"] == RAW_EVENTS)
    return Brokers(
        nodes["InstanceType"],
        properties["NumberOfBrokerNodes"],
        nodes["StorageInfo"]["EBSStorageInfo"]["VolumeSize"],
        raw.properties["PartitionCount"],
    )


def _streams(streams: list[Resource]) -> Streams:
    interval = min(each.properties[_S3]["BufferingHints"]["IntervalInSeconds"] for each in streams)
    return Streams(len(streams), sum(each.metadata["QuotaMiBPerSecond"] for each in streams), interval)


def _database(properties: Mapping[str, Any]) -> Database:
    return Database(
        instance_type=properties["DBInstanceClass"].removeprefix("db."),
        multi_az=properties["MultiAZ"],
        storage_gib=int(properties["AllocatedStorage"]),
        maximum_storage_gib=properties["MaxAllocatedStorage"],
        backup_days=properties["BackupRetentionPeriod"],
    )


def _metrics_of(alarm: Resource) -> int:
    """An alarm is billed by the metrics it looks at."""
    metrics = [each["MetricStat"] for each in alarm.properties.get("Metrics", ()) if "MetricStat" in each]
    metrics = metrics or [alarm.properties]
    if min(each["Period"] for each in metrics) < FASTEST_SECONDS:
        raise TemplateError(f"{alarm} looks more often than once a minute: that is not priced")
    return len(metrics)


def _runs_a_month(expression: str) -> float:
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if rate is None:
        raise TemplateError(f"{expression}: only rates are priced")
    return HOURS * 60 / (int(rate[1]) * _MINUTES[rate[2]])
