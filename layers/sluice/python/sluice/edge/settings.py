"""A function's settings, read once per cold start from its environment."""

from collections.abc import Mapping
from typing import Literal, Self

import msgspec

Transport = Literal["iam", "none"]


class Settings(msgspec.Struct, frozen=True):
    """Settings named like the environment's variables, in lower case; an invalid one fails the cold start."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Take the settings from the environment."""
        named = {name: environ[name.upper()] for name in cls.__struct_fields__ if name.upper() in environ}
        try:
            return msgspec.convert(named, cls, strict=False)
        except msgspec.ValidationError as error:
            raise SettingsError(f"{cls.__name__}: {error}") from error


class SettingsError(Exception):
    """The environment lacks a setting that the function needs."""


class FunctionSettings(Settings, frozen=True):
    """The settings of every function: its stage, and those that Powertools reads by itself."""

    sluice_stage: str
    powertools_service_name: str
    powertools_metrics_namespace: str


class BrokerSettings(Settings, frozen=True):
    """How to reach the brokers."""

    kafka_bootstrap: str
    kafka_auth: Transport
    aws_region: str
    produce_deadline_seconds: float


class DatabaseSettings(Settings, frozen=True):
    """How a function with its own role reaches the database."""

    database_host: str
    database_port: int
    database_name: str
    database_user: str
    database_auth: Transport
    aws_region: str
    database_roots: str = ""
    """The file with the authorities whose certificates are trusted. Only a server without login may do without."""


class OwnerSettings(Settings, frozen=True):
    """How migrations reach the database, as the owner of its schema."""

    database_host: str
    database_port: int
    database_name: str
    database_secret_arn: str
    database_auth: Literal["secret", "none"]
    database_user: str | None = None  # a secret, if there is one, names the user
    database_roots: str = ""


class CacheSettings(Settings, frozen=True):
    """How to reach the cache."""

    cache_host: str
    cache_port: int
    cache_name: str
    cache_user: str
    cache_auth: Transport
    aws_region: str


class ControlSettings(Settings, frozen=True):
    """Where control data is published."""

    aws_region: str
    control_bucket: str


class KeySettings(ControlSettings, frozen=True):
    """Where keys are published, and how often a process looks for newer ones: in Valkey, and in S3."""

    sluice_stage: str
    key_valkey_seconds: float
    key_s3_seconds: int


class RuleSettings(ControlSettings, frozen=True):
    """Where rules are published, and how often a process looks for newer ones: in Valkey, and in S3."""

    rule_valkey_seconds: float
    rule_s3_seconds: int


class DestinationSettings(ControlSettings, frozen=True):
    """Where destinations are published, and how often a process looks for newer ones in S3."""

    destination_s3_seconds: float


class AdminSettings(ControlSettings, frozen=True):
    """The settings of admin: how long it waits for the database, and how long keys are valid."""

    sluice_stage: str
    admin_answer_seconds: float
    key_overlap_days: float
    reader_key_days: float
    replay_function: str
    replay_machine: str
    admin_replay_seconds: float
    """How long a plan may take to make."""
    redrive_function: str
    admin_redrive_seconds: float
    """How long dead letters may be read for an answer."""
    notify_function: str
    admin_notify_seconds: float
    """How long the test of a destination may take."""


class PublishSettings(ControlSettings, frozen=True):
    """The settings of publish: how long it waits for the database."""

    publish_answer_seconds: float


class CheckpointSettings(Settings, frozen=True):
    """Where checkpoints of the audit are stored, for how long they are locked, and the key that signs them."""

    sluice_stage: str
    aws_region: str
    checkpoint_bucket: str
    checkpoint_key: str
    checkpoint_lock_days: int
    statement_seconds: float


class IngestSettings(KeySettings, frozen=True):
    """The settings of ingest."""

    raw_events_topic: str
    dead_letter_topic: str
    ingest_concurrency: int


class HoldSettings(Settings, frozen=True):
    """How long a consumer holds records, and the topic for records that it gives up."""

    dead_letter_topic: str
    hold_seconds: float
    """How long an invocation retries writes that its store did not accept."""
    version_hold_seconds: float
    """How long a record of a newer version waits for the release that can read it."""


class ArchiveSettings(HoldSettings, frozen=True):
    """Where archive delivers."""

    delivery_streams: str
    """Their names, separated by commas."""
    archive_concurrency: int


class AggregateSettings(HoldSettings, frozen=True):
    """How long aggregate waits for the database."""

    transaction_seconds: float
    aggregate_concurrency: int


class DeadLetterSettings(Settings, frozen=True):
    """Where dead letters are stored."""

    dead_letter_bucket: str
    aws_region: str


class SalvageSettings(Settings, frozen=True):
    """The buckets of events given up outside our handlers, and how long one object may take."""

    failed_batch_bucket: str
    raw_bucket: str
    dead_letter_topic: str
    salvage_reserve_seconds: int


class MaintainSettings(Settings, frozen=True):
    """How far ahead maintain creates partitions, and how long rows are kept."""

    partitions_ahead_hours: int
    sample_hours: int
    waiting_sample_hours: int
    change_hours: int
    outcome_days: int
    sighting_days: int
    summary_days: int
    statement_seconds: float
    lock_seconds: float


class QuerySettings(KeySettings, frozen=True):
    """The settings of query."""

    query_concurrency: int
    query_requests_per_second: float
    query_answer_seconds: float
    recent_seconds: int
    change_hours: int
    lookup_function: str
    lookup_seconds: float
    lookup_rest_seconds: float
    group_believed_seconds: int
    recall_function: str
    recall_seconds: float
    redrive_function: str
    letters_seconds: float
    letters_believed_seconds: int


class DirectorySettings(Settings, frozen=True):
    """Where the external directory of groups is, and how long it may take to answer."""

    directory_url: str
    directory_seconds: float


class ProbeSettings(Settings, frozen=True):
    """Where the API is, where probe keeps its keys, and how long it waits for its event."""

    aws_region: str
    api_address: str
    probe_secret_arn: str
    probe_patience_seconds: float


class RollSettings(Settings, frozen=True):
    """When roll closes a window, how long it waits before it rolls one again, and how long it runs."""

    raw_events_topic: str
    produce_deadline_seconds: float
    """Ingest's deadline: how long after reception an event may still be stored."""
    grace_seconds: float
    straggler_seconds: float
    hour_seconds: float
    day_seconds: float
    roll_shards: int
    roll_loop_seconds: float
    roll_pause_seconds: float
    roll_answer_seconds: float


class TierSettings(Settings, frozen=True):
    """Where rollups move, how many days they stay in the database, and how much is moved at a time."""

    rollup_bucket: str
    minute_days: int
    hour_days: int
    rollup_days: int
    tier_slice_windows: int
    tier_reserve_seconds: int
    tier_statement_seconds: float


class RecallSettings(Settings, frozen=True):
    """Where rollups were moved."""

    rollup_bucket: str


class PressureSettings(Settings, frozen=True):
    """What pressure measures, and how long its snapshot stays valid."""

    raw_events_topic: str
    kafka_cluster: str
    kafka_brokers: int
    aws_region: str
    buffer_seconds: float
    """How long a record may wait for its consumers."""
    snapshot_seconds: int
    hold_seconds: float


class ReconcileSettings(Settings, frozen=True):
    """What is reconciled, and how long committed records may be in flight before they are missing."""

    raw_events_topic: str
    kafka_cluster_arn: str
    raw_bucket: str
    dead_letter_bucket: str
    aws_region: str
    archive_function: str
    archive_grace_seconds: float
    aggregate_function: str
    aggregate_grace_seconds: float
    rerun_seconds: float
    reserve_seconds: float
    statement_seconds: float


class MatchSettings(Settings, frozen=True):
    """Where match reads events and keeps their ids, and how long a step may take."""

    raw_bucket: str
    control_bucket: str
    dead_letter_topic: str
    match_reserve_seconds: int
    match_statement_seconds: float


class TraceSettings(KeySettings, frozen=True):
    """The settings of trace."""

    trace_concurrency: int
    trace_requests_per_second: float
    trace_answer_seconds: float
    trace_visible_seconds: int
    """Events younger than this may not be in any file yet."""
    seek_function: str
    seek_seconds: float


class SeekSettings(Settings, frozen=True):
    """Seek's Athena workgroup and tables, and how long it waits."""

    aws_region: str
    athena_workgroup: str
    athena_database: str
    athena_seconds: float


class RecountSettings(HoldSettings, frozen=True):
    """How long recount waits for the database."""

    transaction_seconds: float
    recount_concurrency: int


class DetectSettings(HoldSettings, frozen=True):
    """Where detect sends verdicts, and how old its statistics may become."""

    alert_events_topic: str
    detect_concurrency: int
    detect_stale_seconds: float


class LearnSettings(Settings, frozen=True):
    """Where learn sends verdicts, what it learns from, and how much it does in a run."""

    alert_events_topic: str
    learn_every_seconds: float
    """How often the statistics of a shard are published."""
    learn_shards: int
    learn_learning_seconds: float
    """How long a device must have been there before it is judged by its baseline."""
    learn_days: int
    learn_types_seconds: float
    """How often the types of a fleet's devices are read from the directory."""
    lookup_function: str
    learn_lookup_seconds: float
    aws_region: str
    statement_seconds: float
    reserve_seconds: float


class BacktestSettings(Settings, frozen=True):
    """Where backtest reads old minutes, how much it may do, and how learn works."""

    rollup_bucket: str
    backtest_seconds: float
    """How long a backtest may read devices."""
    backtest_windows: int
    """How many minutes of devices it may read."""
    backtest_lease_seconds: float
    """A run that has not been heard of for so long has died."""
    learn_every_seconds: float
    learn_learning_seconds: float
    learn_days: int
    statement_seconds: float
    reserve_seconds: float


class AlertSettings(HoldSettings, frozen=True):
    """Where alert tells of incidents, and how long it waits for the database."""

    sluice_stage: str
    dashboard_address: str
    alert_topic: str
    alert_topic_in_order: str
    transaction_seconds: float
    alert_concurrency: int


class AttendSettings(ControlSettings, frozen=True):
    """Where attend tells of incidents, and how long a statement may take."""

    sluice_stage: str
    dashboard_address: str
    alert_topic: str
    alert_topic_in_order: str
    attend_statement_seconds: float
    attend_reserve_seconds: float


class ResendSettings(Settings, frozen=True):
    """Where resend reads raw files, and how fast it sends their events."""

    raw_bucket: str
    replay_events_topic: str
    resend_per_second: float
    """How many events all invocations together send a second."""
    resend_concurrency: int
    resend_answer_seconds: float


class ReplaySettings(Settings, frozen=True):
    """What the steps of a replay use."""

    sluice_stage: str
    aws_region: str
    raw_bucket: str
    raw_days: int
    control_bucket: str
    rollup_bucket: str
    raw_events_topic: str
    replay_events_topic: str
    resend_per_second: float
    replay_fixed_seconds: float
    replay_chunk_mib: int
    statement_seconds: float
    reserve_seconds: float


class RedriveSettings(Settings, frozen=True):
    """Where redrive reads dead letters, how fast it sends fixed events, and how long it answers an admin."""

    aws_region: str
    dead_letter_bucket: str
    dead_letter_days: int
    raw_events_topic: str
    kafka_cluster_arn: str
    archive_function: str
    aggregate_function: str
    redrive_give_seconds: float
    redrive_per_second: float
    redrive_settle_seconds: float
    redrive_answer_seconds: float
    statement_seconds: float
    reserve_seconds: float


class NotifySettings(DestinationSettings, frozen=True):
    """Destinations, the queues of notify, and which servers on this machine it may tell."""

    messages_queue: str
    deliveries_queue: str
    letters_queue: str
    attempts_queue: str
    notify_loopback: str
    """`none`: the local stack alone names some, and no value lets another address through."""
