"""Each model's config: JSON files written from the resolved templates, read strictly.

The same types write and read the files, so a field that one side does not know is an error at the start.
"""

from pathlib import Path
from typing import Literal, TypeVar

import msgspec


class FunctionConfig(msgspec.Struct, forbid_unknown_fields=True):
    """One Lambda function; `environment` is complete but for what Lambda itself adds."""

    name: str
    arn: str
    handler: str
    runtime: str
    directory: str
    memory_mb: int
    timeout_seconds: float
    concurrency: int
    """Invocations admitted at a time; one more is throttled."""
    workers: int
    """Processes that serve them; what is admitted beyond waits, which Lambda itself would not let it."""
    environment: dict[str, str]
    started: int = 0
    """Processes that are started with the model, as AWS starts those of provisioned concurrency."""
    layers: list[str] = []
    """Directories that Lambda would show under /opt/python."""
    log_format: str = "Text"
    log_level: str | None = None


class LambdasConfig(msgspec.Struct, forbid_unknown_fields=True):
    """All functions, and where their workers' logs and byte code go."""

    region: str
    python: str
    directory: str
    functions: list[FunctionConfig]

    def log_of(self, function: str) -> Path:
        """The file in which everything that a function prints is."""
        return Path(self.directory) / f"{function}.log"


class ThrottleConfig(msgspec.Struct, forbid_unknown_fields=True):
    """A token bucket: requests a second, and how many may come at once."""

    rate: float
    burst: float


class RouteConfig(msgspec.Struct, forbid_unknown_fields=True):
    """One route and the function behind its integration."""

    key: str
    function_arn: str
    timeout_ms: int
    throttle: ThrottleConfig | None = None
    signed: bool = False
    """Whether IAM authorizes its requests."""


class AccessKeyConfig(msgspec.Struct, forbid_unknown_fields=True):
    """What a principal signs with."""

    access_key: str
    secret_key: str


class StatementConfig(msgspec.Struct, forbid_unknown_fields=True):
    """One statement of a policy."""

    effect: Literal["Allow", "Deny"]
    actions: list[str]
    resources: list[str]
    conditions: dict[str, dict[str, list[str]]] = {}
    """By operator and key; any of the values will do."""


class PrincipalConfig(msgspec.Struct, forbid_unknown_fields=True):
    """A role, its unique id, the access keys of its session and what its policies say about the API."""

    role: str
    arn: str
    id: str
    keys: list[AccessKeyConfig]
    statements: list[StatementConfig]
    function: bool = False
    """Whether it is the role of a function, and of no person."""


class AccessLogConfig(msgspec.Struct, forbid_unknown_fields=True):
    """The stage's access log; a file stands in for the log group."""

    format: str
    file: str


class HttpApiConfig(msgspec.Struct, forbid_unknown_fields=True):
    """One HTTP API with one stage."""

    id: str
    region: str
    account: str
    lambdas: str
    stage: str
    routes: list[RouteConfig]
    access_log: AccessLogConfig | None = None
    principals: list[PrincipalConfig] = []


class MappingConfig(msgspec.Struct, forbid_unknown_fields=True):
    """One event source mapping from a Kafka topic to a function."""

    uuid: str
    enabled: bool
    cluster_arn: str
    topic: str
    group: str
    function_arn: str
    function_timeout_seconds: float
    starting_position: str
    batch_size: int
    window_seconds: float
    pollers: int
    partial_failures: bool
    maximum_retries: int
    """-1: as long as the record lives."""
    maximum_age_seconds: int
    """-1: as long as Kafka keeps it."""
    failure_bucket: str | None = None


class EventSourceConfig(msgspec.Struct, forbid_unknown_fields=True):
    """All mappings, with the broker, the Invoke API and the object store they speak to."""

    region: str
    bootstrap: str
    lambdas: str
    aws: str
    metrics: str
    """The file to which the model writes what CloudWatch would have of the mappings."""
    mappings: list[MappingConfig]


class QueueMappingConfig(msgspec.Struct, forbid_unknown_fields=True):
    """One event source mapping from an SQS queue to a function."""

    uuid: str
    enabled: bool
    queue_arn: str
    queue_url: str
    function_arn: str
    function_timeout_seconds: float
    batch_size: int
    window_seconds: float
    at_once: int
    """Invocations at a time."""
    partial_failures: bool


class QueueSourceConfig(msgspec.Struct, forbid_unknown_fields=True):
    """All mappings from queues, with the emulation that has the queues, and the Invoke API."""

    region: str
    lambdas: str
    aws: str
    mappings: list[QueueMappingConfig]


class ScheduleConfig(msgspec.Struct, forbid_unknown_fields=True):
    """One schedule that starts a function at a rate."""

    name: str
    enabled: bool
    function_arn: str
    every_seconds: float


class SchedulerConfig(msgspec.Struct, forbid_unknown_fields=True):
    """All schedules, and the Invoke API they start functions by."""

    lambdas: str
    schedules: list[ScheduleConfig]


class BrokerMetricsConfig(msgspec.Struct, forbid_unknown_fields=True):
    """The brokers' data directories in the order of their numbers, and the emulation their metrics go to."""

    region: str
    aws: str
    cluster: str
    disk_gib: float
    directories: list[str]
    every_seconds: float


class RoleConfig(msgspec.Struct, forbid_unknown_fields=True):
    """What a function may ask of AWS's APIs, and the access key it signs with."""

    function: str
    access_key: str
    statements: list[StatementConfig]


class GuardConfig(msgspec.Struct, forbid_unknown_fields=True):
    """All functions' permissions, and where it is written down which are used."""

    account: str
    directory: str
    roles: list[RoleConfig]
    keys: dict[str, str]
    """The keys that buckets, topics and machines are encrypted with, by the ARNs of those."""
    aliases: dict[str, str]
    """The ARNs of keys by their aliases."""


class ColumnConfig(msgspec.Struct, forbid_unknown_fields=True):
    """A column of the Glue table, its type as Glue writes it."""

    name: str
    type: str


class StreamConfig(msgspec.Struct, forbid_unknown_fields=True):
    """One delivery stream that converts JSON to Parquet by a Glue table."""

    name: str
    bucket: str
    prefix: str
    error_prefix: str
    interval_seconds: float
    size_mb: float
    compression: str
    database: str
    table: str
    columns: list[ColumnConfig]


class FirehoseConfig(msgspec.Struct, forbid_unknown_fields=True):
    """All delivery streams, the object store they deliver to and the directory they spool in."""

    region: str
    aws: str
    directory: str
    streams: list[StreamConfig]


class AthenaConfig(msgspec.Struct, forbid_unknown_fields=True):
    """The names of all workgroups, and the catalog and the object store they read."""

    region: str
    aws: str
    workgroups: list[str]


class MetricConfig(msgspec.Struct, forbid_unknown_fields=True):
    """One metric of an alarm, as an expression names it; a metric that stands alone is named `only`."""

    id: str
    namespace: str
    name: str
    dimensions: dict[str, str]
    period_seconds: int
    statistic: str


class AlarmConfig(msgspec.Struct, forbid_unknown_fields=True):
    """One alarm: it compares an expression over its metrics with a bound above which a period breaches."""

    name: str
    description: str
    expression: str
    metrics: list[MetricConfig]
    above: float
    periods: int
    missing: Literal["breaching", "notBreaching", "ignore"]


class OutageConfig(msgspec.Struct, forbid_unknown_fields=True):
    """An alarm over other alarms, and the one that keeps it from paging while it is on itself."""

    name: str
    description: str
    rule: str
    pages: bool
    suppressor: str | None
    wait_seconds: int
    extension_seconds: int


class AlarmsConfig(msgspec.Struct, forbid_unknown_fields=True):
    """All alarms, the files with lines of metrics, and how long a minute of a period lasts here."""

    minute_seconds: float
    logs: list[str]
    alarms: list[AlarmConfig]
    outages: list[OutageConfig]


Config = TypeVar("Config", bound=msgspec.Struct)


def write(config: msgspec.Struct, path: Path) -> Path:
    """Writes a model's config as readable JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n")
    return path


def read(kind: type[Config], path: Path) -> Config:
    """Reads a model's config, refusing what it does not know."""
    return msgspec.json.decode(path.read_bytes(), type=kind)
