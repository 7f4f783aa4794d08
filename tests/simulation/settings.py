"""The simulated functions' settings: a small deployment whose waits are short, so that a history has many of them."""

from tests.simulation.names import BOOTSTRAP, CLUSTER, CONTROL, FAILED, IN_ORDER, LETTERS, RAW, STANDARD

REGION, STAGE = "us-east-1", "simulated"
STREAMS = ("raw-1", "raw-2")
PRODUCE_DEADLINE = 5
ARCHIVE_GRACE, AGGREGATE_GRACE = 300, 120
VERSION_HOLD = 120
"""How long records of a newer release are held, in seconds."""

_EVERY = {"SLUICE_STAGE": STAGE, "AWS_REGION": REGION}
_BROKERS = {
    "KAFKA_BOOTSTRAP": BOOTSTRAP,
    "KAFKA_AUTH": "none",
    "KAFKA_CLUSTER_ARN": CLUSTER,
    "PRODUCE_DEADLINE_SECONDS": str(PRODUCE_DEADLINE),
    "RAW_EVENTS_TOPIC": "raw-events",
    "DEAD_LETTER_TOPIC": "dead-letter",
}
_CACHE = {
    "CACHE_HOST": "simulated",
    "CACHE_PORT": "1",
    "CACHE_NAME": "simulated",
    "CACHE_USER": "simulated",
    "CACHE_AUTH": "none",
}
_BUCKETS = {
    "RAW_BUCKET": RAW,
    "DEAD_LETTER_BUCKET": LETTERS,
    "FAILED_BATCH_BUCKET": FAILED,
    "CONTROL_BUCKET": CONTROL,
}
INGEST_PROCESSES = 4
_HOLD = {"HOLD_SECONDS": "10", "VERSION_HOLD_SECONDS": str(VERSION_HOLD)}

_TOPICS = {
    "ALERT_TOPIC": STANDARD,
    "ALERT_TOPIC_IN_ORDER": IN_ORDER,
    "DASHBOARD_ADDRESS": "https://simulated",
}
_REPLAY = {"REPLAY_EVENTS_TOPIC": "replay-events", "RESEND_PER_SECOND": "1000"}


def _login(function: str) -> dict[str, str]:
    return {
        "DATABASE_HOST": "simulated",
        "DATABASE_PORT": "1",
        "DATABASE_NAME": "simulated",
        "DATABASE_USER": f"sluice_{function}",
        "DATABASE_AUTH": "none",
    }


def settings_of(function: str) -> dict[str, str]:
    """Return a function's environment."""
    return {**_EVERY, **_BROKERS, **_CACHE, **_BUCKETS, **_login(function), **_HOLD, **_OWN.get(function, {})}


_OWN = {
    "ingest": {"INGEST_CONCURRENCY": str(INGEST_PROCESSES), "KEY_VALKEY_SECONDS": "5", "KEY_S3_SECONDS": "60"},
    "archive": {"DELIVERY_STREAMS": ",".join(STREAMS), "ARCHIVE_CONCURRENCY": "4"},
    "aggregate": {"TRANSACTION_SECONDS": "20", "AGGREGATE_CONCURRENCY": "4"},
    "recount": {"TRANSACTION_SECONDS": "20", "RECOUNT_CONCURRENCY": "4"},
    "detect": {
        "ALERT_EVENTS_TOPIC": "alert-events",
        "DETECT_CONCURRENCY": "4",
        "DETECT_STALE_SECONDS": "3600",
        "RULE_VALKEY_SECONDS": "5",
        "RULE_S3_SECONDS": "60",
    },
    "alert": {**_TOPICS, "TRANSACTION_SECONDS": "20", "ALERT_CONCURRENCY": "2"},
    "attend": {**_TOPICS, "ATTEND_STATEMENT_SECONDS": "10", "ATTEND_RESERVE_SECONDS": "25"},
    "admin": {
        "ADMIN_ANSWER_SECONDS": "5",
        "KEY_OVERLAP_DAYS": "7",
        "READER_KEY_DAYS": "90",
        "REPLAY_FUNCTION": "replay",
        "REPLAY_MACHINE": "machine",
        "ADMIN_REPLAY_SECONDS": "20",
        "REDRIVE_FUNCTION": "redrive",
        "ADMIN_REDRIVE_SECONDS": "20",
        "NOTIFY_FUNCTION": "notify",
        "ADMIN_NOTIFY_SECONDS": "10",
    },
    "redrive": {
        "DEAD_LETTER_DAYS": "30",
        "ARCHIVE_FUNCTION": "archive",
        "AGGREGATE_FUNCTION": "aggregate",
        "REDRIVE_GIVE_SECONDS": "20",
        "REDRIVE_PER_SECOND": "1000",
        "REDRIVE_SETTLE_SECONDS": "30",
        "REDRIVE_ANSWER_SECONDS": "10",
        "STATEMENT_SECONDS": "20",
        "RESERVE_SECONDS": "40",
    },
    "replay": {
        **_REPLAY,
        "RAW_DAYS": "365",
        "ROLLUP_BUCKET": "rollups",
        "REPLAY_FIXED_SECONDS": "60",
        "REPLAY_CHUNK_MIB": "16",
        "STATEMENT_SECONDS": "20",
        "RESERVE_SECONDS": "40",
    },
    "resend": {**_REPLAY, "RESEND_CONCURRENCY": "2", "RESEND_ANSWER_SECONDS": "10"},
    "publish": {"PUBLISH_ANSWER_SECONDS": "5"},
    "salvage": {"SALVAGE_RESERVE_SECONDS": "60"},
    "roll": {
        "GRACE_SECONDS": "10",
        "STRAGGLER_SECONDS": "30",
        "HOUR_SECONDS": "60",
        "DAY_SECONDS": "90",
        "ROLL_SHARDS": "64",
        "ROLL_LOOP_SECONDS": "1.5",
        "ROLL_PAUSE_SECONDS": "1.0",
        "ROLL_ANSWER_SECONDS": "20",
    },
    "reconcile": {
        "ARCHIVE_FUNCTION": "archive",
        "ARCHIVE_GRACE_SECONDS": str(ARCHIVE_GRACE),
        "AGGREGATE_FUNCTION": "aggregate",
        "AGGREGATE_GRACE_SECONDS": str(AGGREGATE_GRACE),
        "RERUN_SECONDS": "60",
        "RESERVE_SECONDS": "100",
        "STATEMENT_SECONDS": "20",
    },
}
