"""Maintain: creates partitions before they are needed, and deletes rows after their retention.

make partitions ahead -> raise the floor of samples -> drop partitions below it -> fold counts -> delete expired rows
"""

import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools import Logger

from sluice.core.metrics import (
    COUNTS_FOLDED,
    PARTITIONS_DROPPED,
    PARTITIONS_MADE,
    PARTITIONS_OVERDUE,
    ROWS_FORGOTTEN,
    SAMPLE_AGE,
)
from sluice.core.rollups.retention import Terms, place_floor
from sluice.edge.context import Context, seconds_to_work
from sluice.edge.database import Database, connect
from sluice.edge.metrics import metrics, record, record_all
from sluice.edge.rollups.maintenance import COUNTED_BY, Maintenance
from sluice.edge.settings import DatabaseSettings, MaintainSettings

logger = Logger()


@metrics.log_metrics
def handler(_event: object, context: Context) -> dict[str, Any]:
    """Do what is due."""
    settings = MaintainSettings.from_environ(os.environ)
    login = DatabaseSettings.from_environ(os.environ)
    database = Database(lambda: connect(login, settings.statement_seconds), seconds_to_work(context))
    # Runs are rare, and an idle connection would be cut between them.
    with closing(database), database.use() as connection:
        return maintain(Maintenance(connection, settings.lock_seconds), settings, datetime.now(UTC))


def maintain(tables: Maintenance, settings: MaintainSettings, now: datetime) -> dict[str, Any]:
    """Do what is due at a moment, no matter how long ago the last run was."""
    terms = terms_of(settings)
    # First, and from the oldest sample on: missing partitions do harm before anything else here does.
    made = tables.ensure_partitions(now - terms.sample, now + timedelta(hours=settings.partitions_ahead_hours))
    floor = tables.raise_floor(lambda oldest: place_floor(now, oldest, terms))
    record(SAMPLE_AGE, (now - floor).total_seconds())
    done = record_all(
        {
            PARTITIONS_MADE: made,
            PARTITIONS_DROPPED: tables.drop_samples(),
            PARTITIONS_OVERDUE: tables.count_overdue(),
            COUNTS_FOLDED: sum(tables.fold(table) for table in COUNTED_BY),
            ROWS_FORGOTTEN: sum(tables.forget(*expired) for expired in terms.list_expired(floor, now))
            + tables.forget_backtests(now - terms.outcome),
        }
    )
    logger.info("maintained", extra={"floor": floor.isoformat(), **done})
    return done


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
