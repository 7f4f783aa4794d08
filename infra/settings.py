"""What a deployment is made of: frozen, typed settings, checked when they are made."""

import re
from dataclasses import dataclass

REPLICATION_FACTOR = 3
MIN_IN_SYNC_REPLICAS = 2
AVAILABILITY_ZONES = 3
HOUR = 3600
DAY = 24 * HOUR
GIB = 1024**3
CONSUMER_RECORD_AGE_SECONDS = 4 * HOUR
"""How long an event may wait for a consumer; Kafka keeps it longer, so that retention never removes an unread one."""
KEY_REVOCATION_SECONDS = 5 * 60
MAXIMUM_RECORD_BYTES = 1024 * 1024
"""The largest record Kafka takes, as long as nobody tells it otherwise."""
RAW_EVENTS = "raw-events"
REPLAY_EVENTS = "replay-events"
DEAD_LETTERS = "dead-letter"
ALERT_EVENTS = "alert-events"


def require(condition: bool, message: str) -> None:
    """Refuse settings that could not work."""
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Brokers:
    """The Kafka cluster's machines."""

    instance_type: str
    count: int
    storage_gib: int

    def __post_init__(self) -> None:
        require(self.count >= REPLICATION_FACTOR, f"{self.count} brokers cannot hold {REPLICATION_FACTOR} replicas")
        require(self.count % AVAILABILITY_ZONES == 0, "brokers are spread evenly over the availability zones")


@dataclass(frozen=True, slots=True)
class Topic:
    """One Kafka topic's size."""

    partitions: int
    retention_seconds: int
    partition_bytes: int | None = None
    """The cap a partition may grow to; None where only age removes records."""

    def __post_init__(self) -> None:
        require(self.partitions > 0, "a topic needs a partition")


@dataclass(frozen=True, slots=True)
class Topics:
    """Every topic, by the name it has in Kafka."""

    raw_events: Topic
    replay_events: Topic
    dead_letter: Topic
    alert_events: Topic

    def __post_init__(self) -> None:
        require(
            self.raw_events.retention_seconds > CONSUMER_RECORD_AGE_SECONDS,
            "raw-events must outlive the age at which consumers give a record up, or Kafka deletes unread events",
        )

    def by_name(self) -> dict[str, Topic]:
        """Return the topics under their Kafka names."""
        return {
            RAW_EVENTS: self.raw_events,
            REPLAY_EVENTS: self.replay_events,
            DEAD_LETTERS: self.dead_letter,
            ALERT_EVENTS: self.alert_events,
        }


@dataclass(frozen=True, slots=True)
class Throttle:
    """What one route admits: requests a second, and how many at once."""

    rate: int
    burst: int


@dataclass(frozen=True, slots=True)
class Throttles:
    """Per-route limits of the HTTP API."""

    events: Throttle
    readings: Throttle
    activity: Throttle


@dataclass(frozen=True, slots=True)
class Compute:
    """One Lambda function's size and bounds."""

    memory_mib: int
    timeout_seconds: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class Ingest:
    """The function behind the API and how long it may wait for what it needs."""

    compute: Compute
    started: int
    """How many environments are kept started, so that a quiet fleet's devices do not wait for one; 0 costs nothing."""
    throttles: Throttles
    produce_deadline_seconds: int
    key_memory_seconds: int
    key_cache_seconds: int

    def __post_init__(self) -> None:
        require(
            self.produce_deadline_seconds < self.compute.timeout_seconds,
            "ingest must be able to answer after its produce deadline has passed",
        )
        require(0 <= self.started <= self.compute.concurrency, "no more can be kept started than may run")
        require(
            self.key_memory_seconds + self.key_cache_seconds < KEY_REVOCATION_SECONDS,
            f"a revoked key must stop working everywhere within {KEY_REVOCATION_SECONDS} s",
        )


@dataclass(frozen=True, slots=True)
class Consumer:
    """A function behind a Kafka event source: its size, its batches and its pollers (the autoscaling bounds)."""

    compute: Compute
    batch_size: int
    batching_window_seconds: int
    late_after_seconds: int
    """How far it may fall behind before somebody is told."""
    minimum_pollers: int
    maximum_pollers: int

    def __post_init__(self) -> None:
        require(1 <= self.minimum_pollers <= self.maximum_pollers, "pollers scale between a minimum and a maximum")
        require(1 <= self.batch_size <= 10_000, "a Kafka batch has 1 to 10,000 records")
        require(0 <= self.batching_window_seconds <= 300, "a batching window lasts 0 to 300 s")
        require(self.batching_window_seconds < self.late_after_seconds, "waiting for a full batch is not being late")


@dataclass(frozen=True, slots=True)
class Delivery:
    """When Firehose writes a file: at this age or this size, whichever comes first."""

    interval_seconds: int
    size_mib: int

    def __post_init__(self) -> None:
        require(64 <= self.size_mib <= 128, "Firehose buffers 64 to 128 MiB when it converts to Parquet")
        require(0 < self.interval_seconds <= 900, "Firehose buffers for at most 900 s")


@dataclass(frozen=True, slots=True)
class Database:
    """The PostgreSQL instance."""

    instance_type: str
    storage_gib: int
    maximum_storage_gib: int
    max_connections: int
    multi_az: bool
    backup_days: int


@dataclass(frozen=True, slots=True)
class Cache:
    """The serverless cache's spending limits."""

    maximum_gib: int
    maximum_ecpu_per_second: int


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days each store keeps what it holds."""

    raw_days: int
    dead_letter_days: int
    failed_batch_days: int
    delivery_error_days: int
    query_result_days: int
    log_days: int


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything that is chosen for a size of deployment."""

    name: str
    brokers: Brokers
    topics: Topics
    ingest: Ingest
    archive: Consumer
    deadletter: Consumer
    migrate: Compute
    delivery: Delivery
    database: Database
    cache: Cache
    retention: Retention
    query_scan_limit_gib: int
    """What one Athena query may read before it is stopped: a bound on the cost of a forgotten WHERE."""
    keeps_data: bool
    """Whether deleting the stacks leaves the data behind, and deletion itself is guarded."""

    def __post_init__(self) -> None:
        for consumer, topic in (
            (self.archive, self.topics.raw_events),
            (self.deadletter, self.topics.dead_letter),
        ):
            require(
                consumer.maximum_pollers <= topic.partitions,
                "a poller without a partition has nothing to read",
            )


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployed Sluice: a stage in a region, of the size of a profile."""

    stage: str
    region: str
    profile: Profile

    def __post_init__(self) -> None:
        # The stage is part of API keys, of SQL names and of resource names: what all of them allow.
        require(
            re.fullmatch(r"[a-z][a-z0-9]{0,11}", self.stage) is not None,
            f"stage {self.stage!r} must be 1 to 12 lower-case letters and digits and start with a letter",
        )
        require(
            re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", self.region) is not None,
            f"{self.region!r} is not the name of an AWS region",
        )

    def named(self, what: str) -> str:
        """Return the name a resource of this stage has."""
        return f"sluice-{self.stage}-{what}"
