"""Salvage: events that were given up outside our handlers become dead letters.

list the failed objects, oldest first -> read their events -> post a letter for each -> move the object away
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.errors import Retryable
from sluice.core.metrics import LETTERS_SALVAGED, OBJECTS_PENDING, OBJECTS_SALVAGED, PENDING_AGE
from sluice.edge import aws
from sluice.edge.broker import Broker
from sluice.edge.context import Context, seconds_left
from sluice.edge.failures.salvage import Salvage, error_output, failed_batches
from sluice.edge.metrics import metrics, record_all
from sluice.edge.settings import BrokerSettings, SalvageSettings

logger = Logger()

# If S3 takes longer it is down, and the next run starts within a minute.
ANSWER_SECONDS, TRIES = 20, 2
# After the last letters of an object, the object has to be moved and the run reported.
MOVE_SECONDS = 30
MOST_TOLD = 10
"""The most troubles in a log line: during an S3 outage, every waiting object has the same one."""


class Dependencies(msgspec.Struct, frozen=True):
    """The state of a warm function."""

    salvage: Salvage
    reserve_seconds: float
    """How long an object may take; it is not begun when less time is left."""
    post_seconds: float
    """How long one flush of letters may take, plus the work after the last one."""


@cache
def build() -> Dependencies:
    """Build the function, once per cold start."""
    settings = SalvageSettings.from_environ(os.environ)
    sources = [failed_batches(settings.failed_batch_bucket), error_output(settings.raw_bucket)]
    brokers = BrokerSettings.from_environ(os.environ)
    s3 = aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=TRIES)
    return Dependencies(
        Salvage(s3, Broker(brokers), settings.dead_letter_topic, sources),
        settings.salvage_reserve_seconds,
        brokers.produce_deadline_seconds + MOVE_SECONDS,
    )


@metrics.log_metrics
def handler(_event: object, context: Context) -> dict[str, Any]:
    """Salvage as long as time is left."""
    return salvage(build(), datetime.now(UTC), lambda: seconds_left(context))


def salvage(dependencies: Dependencies, now: datetime, left: Callable[[], float]) -> dict[str, Any]:
    """Salvage and return the report; the rest waits for the next run, and an alarm fires if it waits for too long."""
    try:
        report = dependencies.salvage.run(
            lambda: left() > dependencies.reserve_seconds, lambda: left() > dependencies.post_seconds
        )
    except Retryable as error:
        # The backlog is unknown: nothing is recorded, and the alarm treats missing data as trouble.
        logger.warning("the failed objects cannot be listed", extra={"reason": str(error)})
        return {}
    if report.troubles:
        told = {"reasons": report.troubles[:MOST_TOLD], "troubles": len(report.troubles), "left": report.left}
        logger.warning("not everything was salvaged", extra=told)
    waiting = (now - report.oldest).total_seconds() if report.oldest else 0.0
    return record_all(
        {
            OBJECTS_SALVAGED: report.objects,
            LETTERS_SALVAGED: report.letters,
            OBJECTS_PENDING: report.left,
            PENDING_AGE: max(waiting, 0.0),
        }
    )
