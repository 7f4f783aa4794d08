"""Tier: rollups that are seldom looked at move from the database to files, which cost less and which Athena reads too.

for minutes, then for hours: drop what was moved before -> move what is old enough, slice by slice, while there is time
"""

import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools import Logger

from sluice.core.errors import Retryable
from sluice.core.metrics import PARTITIONS_DROPPED, ROLLUPS_MOVED, TIER_BEHIND
from sluice.edge import aws
from sluice.edge.context import Context, seconds_left, seconds_to_work
from sluice.edge.database import Database, connect
from sluice.edge.metrics import metrics, record_all
from sluice.edge.numbers.rollup_files import RollupFiles
from sluice.edge.numbers.tier_database import TierDatabase
from sluice.edge.numbers.tiering import Plan, Report, Tiering
from sluice.edge.settings import DatabaseSettings, TierSettings

logger = Logger()

ANSWER_SECONDS, TRIES = 30, 3  # of S3


@metrics.log_metrics
def handler(_event: object, context: Context) -> dict[str, Any]:
    """Do what there is time for."""
    settings = TierSettings.from_environ(os.environ)
    login = DatabaseSettings.from_environ(os.environ)
    database = Database(lambda: connect(login, settings.tier_statement_seconds), seconds_to_work(context))
    try:
        # The lock of a run ends with its connection.
        with closing(database), database.use() as connection:
            return tier(TierDatabase(connection), settings, datetime.now(UTC), context)
    except aws.RefusedError:
        # A role that may not write would end every run quietly: an alarm watches errors.
        raise
    except Retryable as error:
        # The next run finishes what was begun; an alarm waits for one that comes to its end.
        logger.warning("the run ends before its time", extra={"reason": str(error)})
        return {}


def tier(database: TierDatabase, settings: TierSettings, now: datetime, context: Context) -> dict[str, Any]:
    """Do what there is time for, unless another run still does."""
    if not database.lock():
        logger.info("another run has not ended yet")
        return {}
    files = RollupFiles(aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=TRIES), settings.rollup_bucket)
    plan = Plan(
        hot={"1m": timedelta(days=settings.minute_days), "1h": timedelta(days=settings.hour_days)},
        kept=timedelta(days=settings.rollup_days),
        slice_windows=settings.tier_slice_windows,
    )
    # A slice is begun only when there is time for it.
    report = Tiering(database, files, plan).run(now, lambda: seconds_left(context) > settings.tier_reserve_seconds)
    return tell(report)


def tell(report: Report) -> dict[str, Any]:
    """Record what was done, and how far behind the work is."""
    done = record_all(
        {
            ROLLUPS_MOVED: report.rows,
            PARTITIONS_DROPPED: report.partitions,
            TIER_BEHIND: max(report.behind.total_seconds(), 0.0),
        }
    )
    told = {**done, "waits_for": report.waits_for}
    logger.info("tiered", extra=told)
    return told
