"""Backtest: which incidents a rule would have opened over stored days, in the order in which it was asked.

claim -> minutes and hours of some devices -> judged as detect and learn do -> incidents as alert opens them -> result
"""

import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger

from sluice.core.backtest.pace import Bounds
from sluice.core.errors import Retryable
from sluice.core.metrics import BACKTEST_WAIT, BACKTESTS_DONE, BACKTESTS_FAILED, WINDOWS_TESTED
from sluice.edge import aws
from sluice.edge.backtest.backtesting import Backtesting, BacktestReport, Plan
from sluice.edge.backtest.tables import BacktestTables
from sluice.edge.context import Context, seconds_left, seconds_to_work
from sluice.edge.database import Database, connect
from sluice.edge.events.schemas import load_series
from sluice.edge.metrics import metrics, record_all
from sluice.edge.rollup_archive.recalling import READERS, Recaller
from sluice.edge.settings import BacktestSettings, DatabaseSettings

logger = Logger()

ANSWER_SECONDS, TRIES = 10, 3  # for S3


@cache
def build() -> tuple[Backtesting, BacktestSettings]:
    """Build the function, once per cold start."""
    settings = BacktestSettings.from_environ(os.environ)
    s3 = aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=TRIES, connections=READERS)
    plan = Plan(
        bounds=Bounds(settings.backtest_seconds, settings.backtest_windows),
        every=timedelta(seconds=settings.learn_every_seconds),
        learning=timedelta(seconds=settings.learn_learning_seconds),
        learned_from=timedelta(days=settings.learn_days),
    )
    return Backtesting(Recaller(s3, settings.rollup_bucket), load_series(), plan, lambda: datetime.now(UTC)), settings


@metrics.log_metrics
def handler(_event: object, context: Context) -> dict[str, Any]:
    """Make the backtests that wait, while time is left; a run with a defect reports its work before it raises."""
    backtesting, settings = build()
    login = DatabaseSettings.from_environ(os.environ)
    database = Database(lambda: connect(login, settings.statement_seconds), seconds_to_work(context))
    try:
        # Runs are mostly short, and an idle connection would be cut between them.
        with closing(database), database.use() as connection:
            tables = BacktestTables(connection, timedelta(seconds=settings.backtest_lease_seconds))
            done = backtesting.run(connection, tables, lambda: seconds_left(context) > settings.reserve_seconds)
    except Retryable as error:
        # Not an error: an alarm fires when a backtest waits for long.
        logger.warning("the run ends early", extra={"reason": str(error)})
        return {}
    reported = report(done)
    if done.defect is not None:
        raise done.defect
    return reported


def report(done: BacktestReport) -> dict[str, Any]:
    """Record the run's results."""
    return record_all(
        {
            BACKTESTS_DONE: done.done,
            BACKTESTS_FAILED: done.failed,
            WINDOWS_TESTED: done.windows,
            BACKTEST_WAIT: done.wait_seconds,
        }
    )
