"""Tier: moves rarely read rollups from the database to files, which cost less and which Athena reads too.

for minutes, then for hours: drop partitions moved before -> move old partitions, slice by slice, while time is left
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
from sluice.edge.rollup_archive.database import TierDatabase
from sluice.edge.rollup_archive.files import RollupFiles
from sluice.edge.rollup_archive.tiering import Plan, Tiering
from sluice.edge.settings import DatabaseSettings, TierSettings

logger = Logger()

ANSWER_SECONDS, TRIES = 30, 3  # for S3


@metrics.log_metrics
def handler(_event: object, context: Context) -> dict[str, Any]:
    """Do the due work as long as time is left."""
    settings = TierSettings.from_environ(os.environ)
    login = DatabaseSettings.from_environ(os.environ)
    database = Database(lambda: connect(login, settings.tier_statement_seconds), seconds_to_work(context))
    try:
        # A run's lock ends with its connection.
        with closing(database), database.use() as connection:
            return tier(TierDatabase(connection), settings, datetime.now(UTC), context)
    except aws.RefusedError:
        # Otherwise a role without write permission would end every run quietly: an alarm watches errors.
        raise
    except Retryable as error:
        # The next run finishes the work; an alarm fires if no run finishes.
        logger.warning("the run ends early", extra={"reason": str(error)})
        return {}


def tier(database: TierDatabase, settings: TierSettings, now: datetime, context: Context) -> dict[str, Any]:
    """Do the due work as long as time is left, unless another run is active."""
    if not database.lock():
        logger.info("another run is still active")
        return {}
    files = RollupFiles(aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=TRIES), settings.rollup_bucket)
    plan = Plan(
        hot={"1m": timedelta(days=settings.minute_days), "1h": timedelta(days=settings.hour_days)},
        kept=timedelta(days=settings.rollup_days),
        slice_windows=settings.tier_slice_windows,
    )
    # A slice is begun only if enough time is left for it.
    report = Tiering(database, files, plan).run(now, lambda: seconds_left(context) > settings.tier_reserve_seconds)
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
