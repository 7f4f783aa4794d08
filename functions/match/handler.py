"""Match: finds ids that recur with other bytes. The first event wins, the later one becomes a dead letter.

read the ids of new files -> compare with those of 26 hours -> write the dead letters -> remove what counts twice
"""

import os
from contextlib import closing
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger

from sluice.core.errors import Retryable
from sluice.core.limits import Limits
from sluice.core.metrics import CONFLICTS_WRITTEN, COPIES_UNSETTLED, IDS_MATCHED, MATCH_BEHIND, SAMPLES_REMOVED
from sluice.edge import aws
from sluice.edge.broker import Broker
from sluice.edge.bucket import Bucket
from sluice.edge.context import Context, seconds_left, seconds_to_work
from sluice.edge.database import Database, connect
from sluice.edge.events.schemas import load_contracts
from sluice.edge.matching.id_store import IdStore
from sluice.edge.matching.match_run import Matching, MatchRun, Time
from sluice.edge.matching.tables import MatchTables
from sluice.edge.metrics import metrics, record_all
from sluice.edge.settings import BrokerSettings, DatabaseSettings, MatchSettings

logger = Logger()

ANSWER_SECONDS, TRIES = 30, 3  # for S3


@cache
def build() -> tuple[Matching, MatchSettings]:
    """Build the function, once per cold start."""
    settings = MatchSettings.from_environ(os.environ)
    s3 = aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=TRIES)
    matching = Matching(
        raw=Bucket(s3, settings.raw_bucket),
        store=IdStore(Bucket(s3, settings.control_bucket)),
        broker=Broker(BrokerSettings.from_environ(os.environ)),
        topic=settings.dead_letter_topic,
        contracts=load_contracts(),
        limits=Limits(),
    )
    return matching, settings


@metrics.log_metrics
def handler(_event: object, context: Context) -> dict[str, Any]:
    """Find and settle while time is left."""
    matching, settings = build()
    login = DatabaseSettings.from_environ(os.environ)
    database = Database(lambda: connect(login, settings.match_statement_seconds), seconds_to_work(context))
    try:
        # Runs are rare, and an idle connection would be cut between them.
        with closing(database), database.use() as connection:
            return tell(MatchRun(matching, connection, share(context, settings)), MatchTables(connection))
    except Retryable as error:
        # Not an error: the alarm on what waits treats missing data as trouble.
        logger.warning("the run ends early", extra={"reason": str(error)})
        return {}


def share(context: Context, settings: MatchSettings) -> Time:
    """Share the time out: settling has half of what the search does not need, and what the search leaves."""
    search = settings.match_reserve_seconds
    first = (seconds_left(context) - search) / 2
    return Time(
        settle_first=lambda: seconds_left(context) > search + first,
        find=lambda: seconds_left(context) > search,
        settle=lambda: seconds_left(context) > settings.match_statement_seconds,
    )


def tell(run: MatchRun, tables: MatchTables) -> dict[str, Any]:
    """Run, and report what was done and what waits."""
    try:
        run.run()
    finally:
        # What is committed is not found again, so a run that ends early tells of it too.
        done = run.done
        told = record_all(
            {
                IDS_MATCHED: done.ids,
                CONFLICTS_WRITTEN: done.conflicts,
                SAMPLES_REMOVED: done.removed,
                COPIES_UNSETTLED: done.unsettled,
            }
        )
    return told | record_all({MATCH_BEHIND: tables.find_age()})
