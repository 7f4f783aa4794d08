"""What the stores cost: Firehose and the lake, the database, the cache."""

from collections.abc import Iterator

from cli.cost.bill import Position
from cli.cost.figures import Figures
from cli.cost.front import GB, logged
from cli.cost.templates import Deployed
from cli.cost.workload import DAYS, HOURS, Workload


def stores(deployed: Deployed, work: Workload, figures: Figures) -> Iterator[Position]:
    """List what it costs to keep events and numbers."""
    yield from _lake(deployed, work, figures)
    yield from _database(deployed, work, figures)
    events_an_hour = work.events_per_second * 3600
    held = max(0.1, events_an_hour * figures.cache_hours.value * figures.cache_bytes_per_event.value / GB)
    # At night the cache shrinks to its minimum.
    share = work.hours_a_day / 24
    yield Position("ElastiCache", "data", "valkey_gb_hour", HOURS * (held * share + 0.1 * (1 - share)), "events")
    yield Position("ElastiCache", "events", "valkey_ecpu", work.events * figures.commands_per_event.value, "events")
    # A request asks for its key and its quota now and then, and says so in three commands.
    yield Position("ElastiCache", "requests", "valkey_ecpu", work.requests, "requests")


def _lake(deployed: Deployed, work: Workload, figures: Figures) -> Iterator[Position]:
    sent = work.events * figures.row_bytes.value / GB
    yield Position("Firehose", "rows", "firehose_gb", sent, "events")
    yield Position("Firehose", "conversion to Parquet", "firehose_conversion_gb", sent, "events")
    yield Position("Endpoints", "rows to Firehose", "interface_endpoint_gb", sent, "events")
    stored = work.events / DAYS * figures.stored_bytes.value / GB
    yield Position("S3", "raw events", "s3_gb_month", stored * kept(deployed, "Raw", "raw/"), "events")
    letters = work.events * figures.rejected_share.value / DAYS * figures.letter_bytes.value / GB
    yield Position("S3", "dead letters", "s3_gb_month", letters * kept(deployed, "DeadLetter", ""), "events")
    minutes = work.devices * work.hours_a_day * 60 * figures.rollup_bytes.value / GB
    yield Position("S3", "older rollups", "s3_gb_month", minutes * kept(deployed, "Rollups", ""), "time")
    files = max(
        sent * 1e3 / figures.delivery_megabytes.value,
        deployed.streams.count * work.seconds / deployed.streams.interval_seconds,
    )
    yield Position("S3", "files written", "s3_put", files, "events")
    # reconcile reads three columns of each file, each column's pages by range.
    yield Position("S3", "files read", "s3_get", files * 5, "events")
    recorded = files * 6 + figures.recorded_requests.value
    yield Position("CloudTrail", "requests to objects", "cloudtrail_data_event", deployed.trails * recorded, "events")
    yield Position("Athena", "analysts", "athena_tb", figures.scanned_gigabytes.value / 1e3, "questions")


def _database(deployed: Deployed, work: Workload, figures: Figures) -> Iterator[Position]:
    database = deployed.database
    kind = "multi_az" if database.multi_az else "single_az"
    machine = database.instance_type.replace(".", "_")
    yield Position("RDS", "instance", f"rds_hour_{machine}_{kind}", HOURS, "size")
    yield Position("RDS", "volume", f"rds_gp3_gb_month_{kind}", database.storage_gib, "size")
    yield from logged("log of PostgreSQL", 1, figures.database_log_gigabytes.value * GB, figures, "size")
    log = work.events / DAYS * figures.log_bytes_per_event.value / GB
    backup = log * database.backup_days + database.storage_gib * figures.base_backup_share.value
    yield Position("RDS", "backups", "rds_backup_gb_month", max(0.0, backup - database.storage_gib), "events")


def kept(deployed: Deployed, bucket: str, prefix: str) -> int:
    """Return for how many days a bucket keeps what lies below a prefix."""
    (days,) = (
        days
        for place, days in deployed.kept_days.items()
        if place.startswith(f"LakeBuckets{bucket}") and place.partition("/")[2] == prefix
    )
    return days
