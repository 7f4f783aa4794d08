"""Writes what each model has to know, fully resolved from the templates."""

import re
import sys
from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local import overrides
from local.models import config
from local.models.alarms import STATISTICS
from local.models.expressions import Expression, UnknownExpressionError
from local.models.outages import UnknownRuleError, compile_rule
from local.resources.grants import guard
from local.resources.known import PUBLISHED_LAYERS
from local.resources.plan import Plan, brokers_needed, function_name
from local.template import ACCOUNT, Resource, TemplateError

if TYPE_CHECKING:
    import msgspec

_MINUTES = {"minute": 1, "hour": 60, "day": 1440}
_QUEUES = "arn:aws:sqs:"
_ROUTE_SETTINGS = {"ThrottlingBurstLimit", "ThrottlingRateLimit", "DetailedMetricsEnabled"}


def write_configs(plan: Plan, directory: Path) -> dict[str, Path]:
    """Writes one file for each model, by the model's name; spools and logs go below the services' state directory."""
    directory.mkdir(parents=True, exist_ok=True)
    configs: dict[str, msgspec.Struct] = {
        "lambdas": lambdas(plan),
        "http_api": http_api(plan),
        "event_source": event_source(plan),
        "queue_source": queue_source(plan),
        "firehose": firehose(plan),
        "scheduler": scheduler(plan),
        "broker_metrics": broker_metrics(plan),
        "athena": athena(plan),
        "alarms": alarms(plan),
        "guard": guard(plan),
    }
    return {name: config.write(content, directory / f"{name}.json") for name, content in configs.items()}


def lambdas(plan: Plan) -> config.LambdasConfig:
    """The functions and how their workers are started."""
    devices = [route for route in http_api(plan).routes if not route.signed]
    posted_to = {route.function_arn for route in devices if route.key.startswith("POST ")}
    reading = {mapping.function_arn for mapping in event_source(plan).mappings}
    return config.LambdasConfig(
        region=plan.services.region,
        python=sys.executable,
        directory=_place(plan, "lambdas"),
        functions=[_function(plan, each, posted_to, reading) for each in plan.function_resources()],
    )


def _function(
    plan: Plan, function: Resource, posted_to: Container[str], reading: Container[str]
) -> config.FunctionConfig:
    resolver = plan.resolver
    arn = plan.attribute(function, "Arn")
    concurrency = int(resolver.property(function, "ReservedConcurrentExecutions", overrides.ACCOUNT_CONCURRENCY))
    synthesized = resolver.property(function, "Environment.Variables", {})
    layers = {plan.name(each): each for each in plan.all("AWS::Lambda::LayerVersion")}
    return config.FunctionConfig(
        name=plan.name(function),
        arn=arn,
        handler=resolver.required(function, "Handler"),
        runtime=resolver.required(function, "Runtime"),
        directory=str(plan.assembly.asset(resolver.required(function, "Code.S3Key"))),
        memory_mb=int(resolver.property(function, "MemorySize", 128)),
        timeout_seconds=float(resolver.property(function, "Timeout", 3)),
        concurrency=concurrency,
        workers=overrides.workers(concurrency),
        started=overrides.workers(concurrency) if arn in posted_to else int(arn in reading),
        environment=overrides.function_environment(
            plan.name(function), {name: str(value) for name, value in synthesized.items()}, plan.services
        ),
        layers=[str(path) for arn in resolver.property(function, "Layers", []) for path in _layer(plan, layers, arn)],
        log_format=resolver.property(function, "LoggingConfig.LogFormat", "Text"),
        log_level=resolver.property(function, "LoggingConfig.ApplicationLogLevel"),
    )


def _layer(plan: Plan, layers: dict[str, Resource], arn: str) -> list[Path]:
    """What a layer puts on the path: its code; nothing where it only holds libraries, which the environment has."""
    if arn not in layers:
        if not any(published in arn for published in PUBLISHED_LAYERS):
            raise TemplateError(f"the layer {arn} is in no template, and nothing is known of it here")
        return []
    layer = layers[arn]
    asset = plan.assembly.asset(plan.resolver.required(layer, "Content.S3Key"))
    if (asset / "requirements.txt").exists():
        return []
    if (asset / "python").is_dir():
        return [asset / "python"]
    raise TemplateError(f"{layer}: {asset} has neither python/ nor requirements.txt")


def http_api(plan: Plan) -> config.HttpApiConfig:
    """The API with the functions behind its routes."""
    api = _only(plan, "AWS::ApiGatewayV2::Api")
    stage = _only(plan, "AWS::ApiGatewayV2::Stage")
    resolver = plan.resolver
    _expect(plan, api, "ProtocolType", "HTTP")
    default = resolver.property(stage, "DefaultRouteSettings", {})
    by_route = resolver.property(stage, "RouteSettings", {})
    keys = [resolver.required(each, "RouteKey") for each in plan.all("AWS::ApiGatewayV2::Route")]
    if strangers := sorted(set(by_route) - set(keys)):
        raise TemplateError(f"{stage} has settings for routes that do not exist: {strangers}")
    integrations = {plan.name(each): each for each in plan.all("AWS::ApiGatewayV2::Integration")}
    log_format = resolver.property(stage, "AccessLogSettings.Format")
    return config.HttpApiConfig(
        id=plan.name(api),
        region=resolver.region(api.stack),
        account=ACCOUNT,
        lambdas=plan.services.lambdas,
        stage=resolver.required(stage, "StageName"),
        routes=[
            _route(plan, each, integrations, {**default, **by_route.get(key, {})}, str(stage))
            for each, key in zip(plan.all("AWS::ApiGatewayV2::Route"), keys, strict=True)
        ],
        access_log=config.AccessLogConfig(log_format, _place(plan, "access.log")) if log_format else None,
        principals=list(plan.principals),
    )


def _route(
    plan: Plan, route: Resource, integrations: dict[str, Resource], settings: dict[str, Any], stage: str
) -> config.RouteConfig:
    key = plan.resolver.required(route, "RouteKey")
    authorization = plan.resolver.property(route, "AuthorizationType", "NONE")
    if authorization not in ("NONE", "AWS_IAM"):
        raise TemplateError(f"{route} AuthorizationType is {authorization!r}; only 'NONE' and 'AWS_IAM' are modelled")
    if authorization == "AWS_IAM" and key == "$default":
        raise TemplateError(f"{route} is signed; how IAM names $default is not modelled")
    integration = integrations[str(plan.resolver.required(route, "Target")).removeprefix("integrations/")]
    _expect(plan, integration, "IntegrationType", "AWS_PROXY")
    _expect(plan, integration, "PayloadFormatVersion", "2.0")
    if unknown := sorted(set(settings) - _ROUTE_SETTINGS):
        raise TemplateError(f"{stage} has route settings the model does not know: {unknown}")
    uri = str(plan.resolver.required(integration, "IntegrationUri"))
    function = re.search(r"arn:aws:lambda:[^:]+:\d+:function:[\w-]+", uri)
    if function is None:
        raise TemplateError(f"{integration} does not integrate a function: {uri}")
    rate, burst = settings.get("ThrottlingRateLimit"), settings.get("ThrottlingBurstLimit")
    if (rate is None) != (burst is None):
        raise TemplateError(f"{stage} throttles {route} by rate or burst alone")
    return config.RouteConfig(
        key=key,
        function_arn=function.group(),
        timeout_ms=int(plan.resolver.property(integration, "TimeoutInMillis", 30_000)),
        throttle=None if rate is None or burst is None else config.ThrottleConfig(float(rate), float(burst)),
        signed=authorization == "AWS_IAM",
    )


def event_source(plan: Plan) -> config.EventSourceConfig:
    """The mappings from topics to functions."""
    return config.EventSourceConfig(
        region=plan.services.region,
        bootstrap=plan.services.kafka,
        lambdas=plan.services.lambdas,
        aws=plan.services.aws,
        metrics=_place(plan, "event_source/metrics.log"),
        mappings=[
            _mapping(plan, each)
            for each in plan.all("AWS::Lambda::EventSourceMapping")
            if not _source(plan, each).startswith(_QUEUES)
        ],
    )


def queue_source(plan: Plan) -> config.QueueSourceConfig:
    """The mappings from queues to functions."""
    return config.QueueSourceConfig(
        region=plan.services.region,
        lambdas=plan.services.lambdas,
        aws=plan.services.aws,
        mappings=[
            _queue_mapping(plan, each)
            for each in plan.all("AWS::Lambda::EventSourceMapping")
            if _source(plan, each).startswith(_QUEUES)
        ],
    )


def _queue_mapping(plan: Plan, mapping: Resource) -> config.QueueMappingConfig:
    resolver = plan.resolver
    reports = resolver.property(mapping, "FunctionResponseTypes", [])
    if reports not in ([], ["ReportBatchItemFailures"]):
        raise TemplateError(f"{mapping}: ReportBatchItemFailures or nothing is modelled")
    function = function_name(str(resolver.required(mapping, "FunctionName")))
    mapped = {plan.name(each): each for each in plan.function_resources()}[function]
    queues = {plan.attribute(each, "Arn"): each for each in plan.all("AWS::SQS::Queue")}
    source = _source(plan, mapping)
    if source not in queues:
        raise TemplateError(f"{mapping} polls {source}, which no template has")
    timeout = float(resolver.property(mapped, "Timeout", 3))
    if float(resolver.property(queues[source], "VisibilityTimeout", 30)) < timeout:
        raise TemplateError(
            f"{mapping}: its queue hides a message for less than the function's timeout; AWS refuses it"
        )
    return config.QueueMappingConfig(
        uuid=plan.name(mapping),
        enabled=bool(resolver.property(mapping, "Enabled", True)),
        queue_arn=source,
        queue_url=plan.name(queues[source]),
        function_arn=plan.attribute(mapped, "Arn"),
        function_timeout_seconds=timeout,
        batch_size=int(resolver.property(mapping, "BatchSize", 10)),
        window_seconds=float(resolver.property(mapping, "MaximumBatchingWindowInSeconds", 0)),
        at_once=overrides.workers(int(resolver.property(mapping, "ScalingConfig.MaximumConcurrency", 5))),
        partial_failures=bool(reports),
    )


def _source(plan: Plan, mapping: Resource) -> str:
    return str(plan.resolver.required(mapping, "EventSourceArn"))


def _mapping(plan: Plan, mapping: Resource) -> config.MappingConfig:
    resolver = plan.resolver
    _expect(plan, mapping, "BisectBatchOnFunctionError", False, default=False)
    topics = resolver.required(mapping, "Topics")
    reports = resolver.property(mapping, "FunctionResponseTypes", [])
    minimum = resolver.property(mapping, "ProvisionedPollerConfig.MinimumPollers")
    position = resolver.required(mapping, "StartingPosition")
    if len(topics) != 1 or reports not in ([], ["ReportBatchItemFailures"]):
        raise TemplateError(f"{mapping}: one topic, and ReportBatchItemFailures or nothing, are modelled")
    if minimum is None:
        raise TemplateError(f"{mapping} is not in provisioned mode, which alone has retry and age limits")
    if position not in ("TRIM_HORIZON", "LATEST"):
        raise TemplateError(f"{mapping} starts at {position}, which is not modelled")
    destination = resolver.property(mapping, "DestinationConfig.OnFailure.Destination")
    if destination is not None and not str(destination).startswith("arn:aws:s3:::"):
        raise TemplateError(f"{mapping} sends failures to {destination}; only buckets are modelled")
    function = function_name(str(resolver.required(mapping, "FunctionName")))
    mapped = {plan.name(each): each for each in plan.function_resources()}[function]
    uuid = plan.name(mapping)
    return config.MappingConfig(
        uuid=uuid,
        enabled=bool(resolver.property(mapping, "Enabled", True)),
        cluster_arn=resolver.required(mapping, "EventSourceArn"),
        topic=topics[0],
        group=resolver.property(mapping, "AmazonManagedKafkaEventSourceConfig.ConsumerGroupId", uuid),
        function_arn=plan.attribute(mapped, "Arn"),
        function_timeout_seconds=float(resolver.property(mapped, "Timeout", 3)),
        starting_position=position,
        batch_size=int(resolver.property(mapping, "BatchSize", 100)),
        window_seconds=float(resolver.property(mapping, "MaximumBatchingWindowInSeconds", 0.5)),
        pollers=overrides.pollers(int(minimum)),
        partial_failures=bool(reports),
        maximum_retries=int(resolver.property(mapping, "MaximumRetryAttempts", -1)),
        maximum_age_seconds=int(resolver.property(mapping, "MaximumRecordAgeInSeconds", -1)),
        failure_bucket=None if destination is None else str(destination).removeprefix("arn:aws:s3:::"),
    )


def scheduler(plan: Plan) -> config.SchedulerConfig:
    """The schedules with the functions they start."""
    return config.SchedulerConfig(
        lambdas=plan.services.lambdas,
        schedules=[_schedule(plan, each) for each in plan.all("AWS::Scheduler::Schedule")],
    )


def _schedule(plan: Plan, schedule: Resource) -> config.ScheduleConfig:
    resolver = plan.resolver
    expression = str(resolver.required(schedule, "ScheduleExpression"))
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if rate is None:
        raise TemplateError(f"{schedule} runs at {expression}; only rates are modelled")
    function = function_name(str(resolver.required(schedule, "Target.Arn")))
    started = {plan.name(each): each for each in plan.function_resources()}
    if function not in started:
        raise TemplateError(f"{schedule} starts {function}, which is no function here")
    return config.ScheduleConfig(
        name=plan.name(schedule),
        enabled=resolver.property(schedule, "State", "ENABLED") == "ENABLED",
        function_arn=plan.attribute(started[function], "Arn"),
        every_seconds=int(rate[1]) * _MINUTES[rate[2]] * overrides.MINUTE_SECONDS,
    )


def broker_metrics(plan: Plan) -> config.BrokerMetricsConfig:
    """The brokers that run here, on disks of the size that the deployed ones have."""
    cluster = _only(plan, "AWS::MSK::Cluster")
    size = plan.resolver.required(cluster, "BrokerNodeGroupInfo.StorageInfo.EBSStorageInfo.VolumeSize")
    return config.BrokerMetricsConfig(
        region=plan.services.region,
        aws=plan.services.aws,
        cluster=str(plan.resolver.required(cluster, "ClusterName")),
        disk_gib=float(size),
        directories=[_place(plan, f"kafka/{number}/data") for number in range(1, brokers_needed(plan.assembly) + 1)],
        every_seconds=overrides.MINUTE_SECONDS,
    )


def athena(plan: Plan) -> config.AthenaConfig:
    """The workgroups; each decides where the results of its queries go."""
    workgroups = plan.all("AWS::Athena::WorkGroup")
    for each in workgroups:
        _expect(plan, each, "WorkGroupConfiguration.EnforceWorkGroupConfiguration", True, default=True)
    return config.AthenaConfig(
        region=plan.services.region, aws=plan.services.aws, workgroups=[plan.name(each) for each in workgroups]
    )


def firehose(plan: Plan) -> config.FirehoseConfig:
    """The delivery streams with the columns of the tables they convert by."""
    return config.FirehoseConfig(
        region=plan.services.region,
        aws=plan.services.aws,
        directory=_place(plan, "firehose"),
        streams=[_stream(plan, each) for each in plan.all("AWS::KinesisFirehose::DeliveryStream")],
    )


def _stream(plan: Plan, stream: Resource) -> config.StreamConfig:
    destination = "ExtendedS3DestinationConfiguration"
    conversion = f"{destination}.DataFormatConversionConfiguration"
    resolver = plan.resolver
    _expect(plan, stream, "DeliveryStreamType", "DirectPut")
    _expect(plan, stream, f"{destination}.CompressionFormat", "UNCOMPRESSED", default="UNCOMPRESSED")
    _expect(plan, stream, f"{conversion}.Enabled", True, default=True)
    parser = resolver.required(stream, f"{conversion}.InputFormatConfiguration")
    if {name: settings or {} for name, settings in parser["Deserializer"].items()} != {
        "OpenXJsonSerDe": {"CaseInsensitive": False}
    }:
        raise TemplateError(f"{stream} reads by {parser}; only OpenXJsonSerDe that minds the case of keys is modelled")
    writer = resolver.required(stream, f"{conversion}.OutputFormatConfiguration")["Serializer"]
    if set(writer) != {"ParquetSerDe"} or set(writer["ParquetSerDe"] or {}) - {"Compression"}:
        raise TemplateError(f"{stream} writes by {writer}; only ParquetSerDe with a compression is modelled")
    database = resolver.required(stream, f"{conversion}.SchemaConfiguration.DatabaseName")
    table_name = resolver.required(stream, f"{conversion}.SchemaConfiguration.TableName")
    hints = resolver.property(stream, f"{destination}.BufferingHints", {})
    return config.StreamConfig(
        name=plan.name(stream),
        bucket=str(resolver.required(stream, f"{destination}.BucketARN")).removeprefix("arn:aws:s3:::"),
        prefix=resolver.property(stream, f"{destination}.Prefix", "!{timestamp:yyyy/MM/dd/HH}/"),
        error_prefix=resolver.property(stream, f"{destination}.ErrorOutputPrefix", ""),
        interval_seconds=float(hints.get("IntervalInSeconds", 300)),
        size_mb=float(hints.get("SizeInMBs", 128)),
        compression=str((writer["ParquetSerDe"] or {}).get("Compression", "SNAPPY")),
        database=database,
        table=table_name,
        columns=_columns(plan, stream, database, table_name),
    )


def _columns(plan: Plan, stream: Resource, database: str, name: str) -> list[config.ColumnConfig]:
    for table in plan.all("AWS::Glue::Table"):
        if plan.name(table) == name and plan.resolver.required(table, "DatabaseName") == database:
            described = plan.resolver.required(table, "TableInput.StorageDescriptor.Columns")
            return [config.ColumnConfig(each["Name"], each["Type"]) for each in described]
    raise TemplateError(f"{stream} converts by the table {database}.{name}, which no template has")


def alarms(plan: Plan) -> config.AlarmsConfig:
    """The alarms, and where what they watch is written: the functions' logs, and the event sources' metrics."""
    functions = lambdas(plan)
    return config.AlarmsConfig(
        minute_seconds=overrides.MINUTE_SECONDS,
        logs=[*(str(functions.log_of(each.name)) for each in functions.functions), event_source(plan).metrics],
        alarms=[_alarm(plan, each) for each in plan.all("AWS::CloudWatch::Alarm")],
        outages=_outages(plan),
    )


def _alarm(plan: Plan, alarm: Resource) -> config.AlarmConfig:
    resolver = plan.resolver
    _expect(plan, alarm, "ComparisonOperator", "GreaterThanThreshold")
    queries = resolver.property(alarm, "Metrics")
    if queries is None:
        statistic = resolver.property(alarm, "Statistic") or resolver.required(alarm, "ExtendedStatistic")
        named = {name: resolver.property(alarm, name, []) for name in ("Namespace", "MetricName", "Dimensions")}
        queries = [
            {"Expression": "only"},
            {
                "Id": "only",
                "MetricStat": {"Metric": named, "Period": resolver.required(alarm, "Period"), "Stat": statistic},
            },
        ]
    metrics = [_metric(each["Id"], each["MetricStat"]) for each in queries if "MetricStat" in each]
    expressions = [each["Expression"] for each in queries if "Expression" in each]
    for metric in metrics:
        if metric.statistic not in STATISTICS:
            raise TemplateError(f"{alarm}: {metric.statistic} of a metric is not modelled")
    if len(expressions) != 1 or len({metric.period_seconds for metric in metrics}) != 1:
        raise TemplateError(f"{alarm}: one expression, over metrics of one period, is modelled")
    try:
        Expression(expressions[0], [metric.id for metric in metrics])
    except UnknownExpressionError as error:
        raise TemplateError(f"{alarm}: {error}") from error
    missing = resolver.required(alarm, "TreatMissingData")
    if missing not in ("breaching", "notBreaching", "ignore"):
        raise TemplateError(f"{alarm} treats missing data as {missing!r}, which is not modelled")
    return config.AlarmConfig(
        name=resolver.required(alarm, "AlarmName"),
        description=resolver.required(alarm, "AlarmDescription"),
        expression=expressions[0],
        metrics=metrics,
        above=float(resolver.required(alarm, "Threshold")),
        periods=int(resolver.required(alarm, "EvaluationPeriods")),
        missing=missing,
    )


def _outages(plan: Plan) -> list[config.OutageConfig]:
    """The alarms over other alarms, all of which must be there."""
    resolver = plan.resolver
    every = [*plan.all("AWS::CloudWatch::Alarm"), *plan.all("AWS::CloudWatch::CompositeAlarm")]
    known = {resolver.required(alarm, "AlarmName") for alarm in every}
    outages = []
    for outage in plan.all("AWS::CloudWatch::CompositeAlarm"):
        rule, suppressor = resolver.required(outage, "AlarmRule"), resolver.property(outage, "ActionsSuppressor")
        try:
            _, named = compile_rule(rule)
        except UnknownRuleError as error:
            raise TemplateError(f"{outage}: {error}") from error
        if missing := (named | ({suppressor} - {None})) - known:
            raise TemplateError(f"{outage} names {', '.join(sorted(missing))}, which no template has")
        outages.append(
            config.OutageConfig(
                name=resolver.required(outage, "AlarmName"),
                description=resolver.required(outage, "AlarmDescription"),
                rule=rule,
                pages=bool(resolver.property(outage, "AlarmActions")),
                suppressor=suppressor,
                wait_seconds=int(resolver.property(outage, "ActionsSuppressorWaitPeriod", 0)),
                extension_seconds=int(resolver.property(outage, "ActionsSuppressorExtensionPeriod", 0)),
            )
        )
    return outages


def _metric(name: str, described: Any) -> config.MetricConfig:
    metric = described["Metric"]
    return config.MetricConfig(
        id=name,
        namespace=metric["Namespace"],
        name=metric["MetricName"],
        dimensions={each["Name"]: each["Value"] for each in metric["Dimensions"]},
        period_seconds=int(described["Period"]),
        statistic=described["Stat"],
    )


def _place(plan: Plan, name: str) -> str:
    """A path below the stack's directory, valid from any working directory."""
    return str(plan.services.state.absolute() / name)


def _only(plan: Plan, kind: str) -> Resource:
    found = plan.all(kind)
    if len(found) != 1:
        raise TemplateError(f"one {kind} is modelled; the templates have {len(found)}")
    return found[0]


def _expect(plan: Plan, resource: Resource, path: str, expected: Any, default: Any = None) -> None:
    found = plan.resolver.property(resource, path, default)
    if found != expected:
        raise TemplateError(f"{resource} {path} is {found!r}; only {expected!r} is modelled")
