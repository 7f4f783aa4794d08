"""Reconcile: every accepted event is accounted for, or it is known which is not, and it is run again.

count what is stored -> compare with the brokers' offsets -> name what is missing -> run it again -> say what is left

{"statement": day} is answered with that day's statement; {"rerun": {...}} runs a consumer again from offsets.
"""

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from typing import Any

import msgspec
import psycopg
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import BotoCoreError, ClientError

from sluice.core.errors import Retryable
from sluice.core.ledger.statement import Facts, Statement, draw_up
from sluice.edge import aws, database
from sluice.edge.backlog import Backlog
from sluice.edge.context import Context, seconds_left
from sluice.edge.database import Connection
from sluice.edge.events.schemas import load_contracts
from sluice.edge.extents import Extents
from sluice.edge.invoked import InvokedFunction
from sluice.edge.ledger.counted_objects import Bucket, CountedObjects, Counts
from sluice.edge.ledger.reconciling import Accountable, Cluster, Comparison, Reconciling
from sluice.edge.ledger.rereading import Rereader
from sluice.edge.ledger.statements import ALL_FLEETS, read_facts
from sluice.edge.ledger.tables import LedgerTables
from sluice.edge.settings import BrokerSettings, DatabaseSettings, ReconcileSettings

logger = Logger()
metrics = Metrics()

ANSWER_SECONDS, TRIES = 30, 3  # of S3, for a file of some 100 MB read by columns


class Order(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """Offsets of a partition that a consumer is to be run again from, and up to, but not including, another."""

    consumer: str
    partition: int
    start: int
    end: int


class Parts(msgspec.Struct, frozen=True):
    """What a warm function holds."""

    settings: ReconcileSettings
    connect: Callable[[], Connection]
    s3: Any
    cluster: Cluster
    consumers: dict[str, Accountable]


@cache
def build() -> Parts:
    """Put the function together, once per cold start."""
    settings = ReconcileSettings.from_environ(os.environ)
    brokers = BrokerSettings.from_environ(os.environ)
    topic = settings.raw_events_topic
    invoked = partial(InvokedFunction, seconds=settings.rerun_seconds, region=settings.aws_region)
    login = DatabaseSettings.from_environ(os.environ)
    return Parts(
        settings,
        lambda: database.connect(login, settings.statement_seconds),
        aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=TRIES),
        Cluster(
            settings.kafka_cluster_arn,
            brokers.kafka_bootstrap,
            Extents(brokers, topic),
            Rereader(brokers, topic),
        ),
        {
            consumer: Accountable(invoked(function), Backlog(brokers, topic, consumer), timedelta(seconds=grace))
            for consumer, function, grace in (
                ("archive", settings.archive_function, settings.archive_grace_seconds),
                ("aggregate", settings.aggregate_function, settings.aggregate_grace_seconds),
            )
        },
    )


@metrics.log_metrics
def handler(event: dict[str, Any], context: Context) -> Any:
    """Do what is asked, or what is due."""
    parts = build()
    try:
        with parts.connect() as connection:
            if "statement" in event:
                return msgspec.to_builtins(draw_up_day(date.fromisoformat(event["statement"]), connection))
            if "rerun" in event:
                return rerun(msgspec.convert(event["rerun"], Order), connection, parts, context)
            return reconcile(connection, parts, context)
    except (psycopg.OperationalError, Retryable) as error:
        # Not an error: without its metric, the alarm on UnaccountedEvents calls after a quarter of an hour.
        logger.warning("the run ends before its time", reason=str(error))
        return {}


def reconcile(connection: Connection, parts: Parts, context: Context) -> dict[str, Any]:
    """Count, compare and mend, unless another run still does."""
    tables = LedgerTables(connection, parts.settings.raw_events_topic)
    if not tables.lock():
        logger.info("another run has not ended yet")
        return {}
    work = begin(tables, parts, context)
    # Letters of a day that is long past may come late. Those of records show as what is missing, those of what was
    # rejected do not: all are looked through in the first hour of a day.
    counts = count(connection, parts, context, all_letters=tables.any_missing() or datetime.now(UTC).hour == 0)
    found = work.compare(complete=counts.complete)
    tell_new(found)
    records = work.mend(found, logger.warning)
    if not records:
        return tell(counts, found, found, records)
    left = work.compare(complete=counts.complete)
    tell_new(left)
    return tell(counts, found, left, records)


def tell_new(found: dict[str, Comparison]) -> None:
    """Count what has become missing; even if what follows raises, since to the next run it is not new."""
    metrics.add_metric("NewlyMissing", MetricUnit.Count, sum(one.newly_missing for one in found.values()))


def begin(tables: LedgerTables, parts: Parts, context: Context) -> Reconciling:
    """Put a run together."""
    return Reconciling(
        tables, parts.cluster, parts.consumers, load_contracts(), lambda: datetime.now(UTC), has_time(parts, context)
    )


def has_time(parts: Parts, context: Context) -> Callable[[], bool]:
    """Say how a run knows whether it may begin something more: it must be able to end it."""
    return lambda: seconds_left(context) > parts.settings.reserve_seconds


def count(connection: Connection, parts: Parts, context: Context, *, all_letters: bool) -> Counts:
    """Count what is stored; while it cannot all be read, nothing is called missing."""
    settings = parts.settings
    raw = Bucket(settings.raw_bucket, f"raw/region={settings.aws_region}/")
    letters = Bucket(settings.dead_letter_bucket, f"dead_letters/region={settings.aws_region}/")
    objects = CountedObjects(connection, parts.s3, raw, letters, lambda: datetime.now(UTC))
    try:
        counts = objects.count(has_time(parts, context), all_letters=all_letters)
    except (BotoCoreError, ClientError) as error:
        logger.warning("the buckets cannot be read", reason=str(error))
        return Counts()
    for name, reason in counts.unreadable.items():
        logger.error("an object cannot be counted", object=name, reason=reason)
    return counts


def rerun(order: Order, connection: Connection, parts: Parts, context: Context) -> dict[str, Any]:
    """Run a consumer again from offsets, as far as there is time, unless another run is at work; say where to go on."""
    if order.consumer not in parts.consumers:
        raise ValueError(f"{order.consumer!r} is not one of {', '.join(parts.consumers)}")
    extent = parts.cluster.extents.ask()[order.partition]
    start, end = max(order.start, extent.first), min(order.end, extent.last)
    if start >= end:
        return {"records": 0, "next": None, "failed_at": None}
    tables = LedgerTables(connection, parts.settings.raw_events_topic)
    if not tables.lock():
        return {"busy": True}
    done = begin(tables, parts, context).rerun(order.consumer, order.partition, start, end, missing=False)
    goes_on = done.failed_at is None and done.until < end
    return {"records": done.records, "next": done.until if goes_on else None, "failed_at": done.failed_at}


def draw_up_day(day: date, connection: Connection) -> Statement:
    """Draw up a day's statement for all fleets."""

    def ask(kind: type[Facts], sql: str, *parameters: str) -> Facts:
        answer = database.ask(connection, sql, *parameters)
        return msgspec.json.decode(answer or b"null", type=kind)

    return draw_up(day.isoformat(), read_facts(ask, day, ALL_FLEETS))


def tell(counts: Counts, found: dict[str, Comparison], left: dict[str, Comparison], records: int) -> dict[str, Any]:
    """Count what was done and what is left; what was missing is told even where it was mended at once."""
    done = {
        "ObjectsCounted": counts.objects,
        "RecordsNewlyCounted": counts.new,
        "ObjectsUnreadable": len(counts.unreadable),
        "EventsRerun": records,
        "HolesOpen": sum(one.open for one in left.values()),
    }
    done |= {f"{consumer.capitalize()}InFlight": one.in_flight for consumer, one in left.items()}
    if counts.complete:
        done["UnaccountedEvents"] = sum(one.missing for one in found.values())
    for name, value in done.items():
        metrics.add_metric(name, MetricUnit.Count, value)
    logger.info("reconciled", extra={"missing": {name: one.missing for name, one in left.items()}, **done})
    return done
