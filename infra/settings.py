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
LATE_SECONDS = HOUR
"""How much older than its reception an event may be and still be counted."""
CONNECT_SECONDS = 2
"""How long a function tries to open a connection to the database."""
KEY_REVOCATION_SECONDS = 5 * 60
GATEWAY_SECONDS = 30
"""How long the HTTP API waits for a function."""
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
class Archive(Consumer):
    """The consumer that writes to the delivery stream."""

    version_hold_seconds: int
    """How long a record of a newer version waits for the release that can read it, before it is a dead letter."""


@dataclass(frozen=True, slots=True)
class Maintain:
    """How far ahead the database is prepared, and how long it keeps what."""

    compute: Compute
    every_minutes: int
    partitions_ahead_hours: int
    sample_hours: int
    waiting_sample_hours: int
    """At most, where windows still wait to be rolled from them: what the disk must hold."""
    change_hours: int
    """How long a reader of the change feed may be away and miss nothing."""
    outcome_days: int
    sighting_days: int
    summary_days: int
    """Of days; shorter windows go to Parquet."""
    lock_seconds: int

    def __post_init__(self) -> None:
        require(
            self.sample_hours * HOUR > 2 * (CONSUMER_RECORD_AGE_SECONDS + LATE_SECONDS),
            "samples must outlive the oldest event that can still come, twice, or windows are rolled from what is left",
        )
        require(self.waiting_sample_hours >= self.sample_hours, "waiting makes samples stay longer, not shorter")
        require(
            self.partitions_ahead_hours * 60 >= 10 * self.every_minutes,
            "partitions must be there for longer than it takes to notice that nobody makes them",
        )
        require(self.lock_seconds >= 2, "a shorter wait ends before the server moves its own vacuum out of the way")


@dataclass(frozen=True, slots=True)
class Aggregate:
    """The consumer that writes to the database, and how long it waits for it."""

    consumer: Consumer
    transaction_seconds: int
    """How long one batch may take before its connection is cut."""
    hold_seconds: int
    """How long an invocation tries again while the database is away, before its batch is given back."""
    version_hold_seconds: int
    """As for archive."""
    produce_deadline_seconds: int

    def __post_init__(self) -> None:
        # The last try of the samples may begin when the time to hold is over; then dead letters are stored and covered.
        longest = self.hold_seconds + self.produce_deadline_seconds + 2 * (self.transaction_seconds + CONNECT_SECONDS)
        require(
            longest < self.consumer.compute.timeout_seconds,
            f"aggregate may wait for {longest} s, and must be able to say what comes again before it is stopped",
        )


@dataclass(frozen=True, slots=True)
class Show:
    """The function that serves the page, and how often all browsers together may ask each of its routes."""

    compute: Compute
    throttle: Throttle


@dataclass(frozen=True, slots=True)
class Query:
    """The function that readers ask, and how long it may wait for whom it asks itself."""

    compute: Compute
    throttle: Throttle
    """Of each of its routes, for all readers together."""
    requests_per_second: int
    """What one key may ask."""
    answer_seconds: int
    """How long the database may take for one question."""
    recent_seconds: int
    lookup_seconds: int
    lookup_rest_seconds: int
    """How long a directory that does not answer is left alone."""
    recall_seconds: int
    group_believed_seconds: int
    """How long a group is taken to be what the directory last said it was."""

    def __post_init__(self) -> None:
        # A connection that was cut is noticed by waiting for its answer; then another is opened and asked.
        longest = CONNECT_SECONDS + 2 * (self.answer_seconds + 1) + max(self.lookup_seconds, self.recall_seconds)
        require(
            longest < self.compute.timeout_seconds < GATEWAY_SECONDS,
            f"query may wait for {longest} s, and must say so before it is stopped, and before the gateway is",
        )


@dataclass(frozen=True, slots=True)
class Lookup:
    """The function that asks the directory, and how long it waits for it."""

    compute: Compute
    directory_seconds: int

    def __post_init__(self) -> None:
        # As long to begin an answer as to end it.
        require(
            2 * self.directory_seconds < self.compute.timeout_seconds, "lookup must be able to say that nobody answers"
        )


@dataclass(frozen=True, slots=True)
class Trace:
    """The function that tells what became of an event, and how long it waits for whom it asks."""

    compute: Compute
    throttle: Throttle
    requests_per_second: float
    """What one key may ask: each answer reads days of files."""
    answer_seconds: int
    """How long the database may take for one question."""
    seek_seconds: int

    def __post_init__(self) -> None:
        # The database may be away twice: when the key is looked up, and when the numbers are.
        longest = 2 * (CONNECT_SECONDS + 2 * (self.answer_seconds + 1)) + self.seek_seconds
        require(
            longest < self.compute.timeout_seconds < GATEWAY_SECONDS,
            f"trace may wait for {longest} s, and must say so before it is stopped, and before the gateway is",
        )


@dataclass(frozen=True, slots=True)
class Seek:
    """The function that looks among the files, and how long it waits for Athena."""

    compute: Compute
    athena_seconds: int


@dataclass(frozen=True, slots=True)
class Tier:
    """How long rollups stay in the database, and how they leave it."""

    compute: Compute
    every_minutes: int
    minute_days: int
    hour_days: int
    slice_windows: int
    """How many windows in a row are moved at a time, those of one day at most."""
    reserve_seconds: int
    """How long moving them may take: a slice is not begun when there is less time left."""
    behind_hours: int
    """How far it may fall behind before somebody is told."""

    def __post_init__(self) -> None:
        require(self.reserve_seconds < self.compute.timeout_seconds, "a run must have time for a slice")
        # A day's minutes are moved as a whole, and dropped by the next run.
        require(
            self.minute_days >= 1 and self.hour_days > self.minute_days,
            "hours are computed from minutes, and stay for longer",
        )


@dataclass(frozen=True, slots=True)
class Salvage:
    """The function that makes dead letters of what was given up elsewhere."""

    compute: Compute
    reserve_seconds: int
    """How long one object may take: it is not begun when there is less time left."""
    waiting_seconds: int
    """How long an object may lie there before somebody is told."""
    produce_deadline_seconds: int

    def __post_init__(self) -> None:
        require(self.reserve_seconds < self.compute.timeout_seconds, "a run must have time for an object")
        require(
            self.compute.timeout_seconds <= 5 * 60,
            "a run that takes longer keeps others from starting, which looks as if there were none",
        )


@dataclass(frozen=True, slots=True)
class Roll:
    """When windows close, how long they wait before they are rolled again, and for how long one run goes on."""

    compute: Compute
    grace_seconds: int
    """How much longer than reception a window stays open, for what its devices send late."""
    straggler_seconds: int
    hour_seconds: int
    day_seconds: int
    shards: int
    """How many are rolled in one transaction, at most."""
    loop_seconds: int
    pause_seconds: float
    answer_seconds: int
    """How long one transaction may take before its connection is cut."""
    behind_seconds: int
    """How far the watermark may fall behind before somebody is told."""

    def __post_init__(self) -> None:
        # Its last step may begin when the loop is over: three transactions and two questions.
        longest = self.loop_seconds + 5 * (self.answer_seconds + CONNECT_SECONDS)
        require(
            longest < self.compute.timeout_seconds,
            f"roll may run for {longest} s, and must be able to say how far it came before it is stopped",
        )
        require(
            self.loop_seconds < 60 * self.compute.concurrency,
            "a run that starts every minute must find a place: those before it have to be over",
        )
        require(
            max(self.hour_seconds, self.day_seconds) <= HOUR,
            "an hour that just closed must not wait as if it had been rolled before",
        )
        require(self.answer_seconds > 1, "the server gives up a second before the function does")


@dataclass(frozen=True, slots=True)
class Pressure:
    """How long the function that measures pressure waits for the brokers, and how long its word is good for."""

    compute: Compute
    hold_seconds: int
    """How long it tries again while the brokers do not answer."""
    snapshot_seconds: int

    def __post_init__(self) -> None:
        # Its last try may begin when the time to hold is over: 26 questions, each answered within 3 s or not.
        longest = self.hold_seconds + 80
        require(
            longest < self.compute.timeout_seconds,
            f"pressure may ask for {longest} s, and must be able to say that nobody answers before it is stopped",
        )


@dataclass(frozen=True, slots=True)
class Reconcile:
    """How often the ledger is reconciled, and how long what was committed may be under way before it is missing."""

    compute: Compute
    every_minutes: int
    archive_grace_seconds: int
    """Until archive's rows are in a file and counted, or its dead letters are."""
    aggregate_grace_seconds: int
    """aggregate covers what it commits at once; dead letters of what was given up take a while."""
    rerun_seconds: int
    """How long a consumer may take for records that it is given again."""
    reserve_seconds: int
    """Nothing is begun when there is less time left."""
    statement_seconds: int

    def __post_init__(self) -> None:
        require(
            self.rerun_seconds + self.statement_seconds < self.reserve_seconds < self.compute.timeout_seconds,
            "reconcile must be able to end what it begins, and have time to begin something",
        )


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
    rollup_days: int
    log_days: int


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything that is chosen for a size of deployment."""

    name: str
    brokers: Brokers
    topics: Topics
    ingest: Ingest
    archive: Archive
    aggregate: Aggregate
    roll: Roll
    deadletter: Consumer
    salvage: Salvage
    migrate: Compute
    show: Show
    query: Query
    lookup: Lookup
    maintain: Maintain
    tier: Tier
    pressure: Pressure
    reconcile: Reconcile
    recall: Compute
    trace: Trace
    seek: Seek
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
            (self.aggregate.consumer, self.topics.raw_events),
            (self.deadletter, self.topics.dead_letter),
        ):
            require(
                consumer.maximum_pollers <= topic.partitions,
                "a poller without a partition has nothing to read",
            )
        require(
            self.tier.minute_days * 24 > self.maintain.sample_hours,
            "minutes are moved when they cannot be computed again, which is when their samples are gone",
        )
        require(
            self.delivery.interval_seconds < self.reconcile.archive_grace_seconds,
            "what waits for a file to be written is not missing",
        )
        require(
            max(self.reconcile.archive_grace_seconds, self.reconcile.aggregate_grace_seconds)
            < self.topics.raw_events.retention_seconds // 2,
            "what is missing must be noticed while Kafka still has it",
        )
        require(
            max(self.archive.compute.timeout_seconds, self.aggregate.consumer.compute.timeout_seconds)
            <= self.reconcile.rerun_seconds,
            "a consumer that is run again must have as long as it takes",
        )
        require(
            2 * self.lookup.directory_seconds <= self.query.lookup_seconds,
            "lookup must give up before query does, or nobody hears why",
        )
        require(
            self.seek.athena_seconds + 2 < self.trace.seek_seconds <= self.seek.compute.timeout_seconds,
            "seek must give up before trace does, or nobody hears why",
        )


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployed Sluice: a stage in a region, of the size of a profile."""

    stage: str
    region: str
    profile: Profile
    directory: str | None = None
    """The address of the directory of groups; without one there are no groups."""

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
        require(
            self.directory is None or re.fullmatch(r"https://[\w.-]+(:\d+)?(/[\w./-]*)?", self.directory) is not None,
            f"directory {self.directory!r} must be an https address without a query",
        )

    def named(self, what: str) -> str:
        """Return the name a resource of this stage has."""
        return f"sluice-{self.stage}-{what}"

    @property
    def metrics(self) -> str:
        """Where a stage's own metrics are: stages of one account must not answer for each other."""
        return f"Sluice/{self.stage}"
