"""Maintain: partitions are there before they are needed, and what nobody needs any more goes.

make partitions ahead -> raise the floor of samples -> drop what lies below -> fold counts -> forget what is past
"""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from sluice.core.numbers.upkeep import Terms, place_floor
from sluice.edge import database
from sluice.edge.numbers.maintenance import COUNTED_BY, Maintenance
from sluice.edge.settings import DatabaseSettings, MaintainSettings

logger = Logger()
metrics = Metrics()


@metrics.log_metrics
def handler(_event: object, _context: object) -> dict[str, Any]:
    """Do what is due."""
    settings = MaintainSettings.from_environ(os.environ)
    login = DatabaseSettings.from_environ(os.environ)
    # A run is rare, and its connection would only be cut while it lies idle.
    with database.connect(login, answer_seconds=settings.statement_seconds) as connection:
        return maintain(Maintenance(connection, settings.lock_seconds), settings, datetime.now(UTC))


def maintain(tables: Maintenance, settings: MaintainSettings, now: datetime) -> dict[str, Any]:
    """Do what is due at a moment, however long ago the last run was."""
    terms = terms_of(settings)
    ahead = now + timedelta(hours=settings.partitions_ahead_hours)
    # First, and from the oldest sample on: nothing else here is missed as soon as these are.
    made = tables.ensure_partitions(now - terms.sample, ahead)
    floor = tables.raise_floor(place_floor(now, tables.find_oldest_waiting(), terms))
    dropped = tables.drop_samples()
    done = {
        "PartitionsMade": made,
        "PartitionsDropped": dropped,
        "PartitionsOverdue": tables.count_overdue(),
        "CountsFolded": sum(tables.fold(table) for table in COUNTED_BY),
        "RowsForgotten": forget(tables, terms, floor, now),
    }
    for name, value in done.items():
        metrics.add_metric(name, MetricUnit.Count, value)
    metrics.add_metric("SampleAge", MetricUnit.Seconds, (now - floor).total_seconds())
    logger.info("maintained", extra={"floor": floor.isoformat(), **done})
    return done


def forget(tables: Maintenance, terms: Terms, floor: datetime, now: datetime) -> int:
    """Delete the rows whose use is over."""
    return sum(
        tables.forget(table, column, before)
        for table, column, before in (
            ("change", "changed_at", now - terms.change),
            # An id is known for as long as its sample is kept.
            ("settled_event", "received_at", floor),
            ("outcome", "received_hour", now - terms.outcome),
            ("unknown_field", "received_hour", now - terms.outcome),
            ("counted_object", "counted_at", now - terms.outcome),
            # Objects of a day are counted within the next; beyond that, a letter that comes again counts again.
            ("counted_letter", "day", now - terms.change),
            ("sighting", "last_seen_at", now - terms.sighting),
            ("rollup_1d", "window_start", now - terms.summary),
        )
    )


def terms_of(settings: MaintainSettings) -> Terms:
    """Read the terms out of the settings."""
    return Terms(
        sample=timedelta(hours=settings.sample_hours),
        waiting_sample=timedelta(hours=settings.waiting_sample_hours),
        change=timedelta(hours=settings.change_hours),
        outcome=timedelta(days=settings.outcome_days),
        sighting=timedelta(days=settings.sighting_days),
        summary=timedelta(days=settings.summary_days),
    )
