"""Salvage: what was given up outside our handlers becomes dead letters, as if one of them had given it up.

find what lies in the buckets, oldest first -> read the events in it -> post a letter for each -> move the object away
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.errors import Retryable
from sluice.core.metrics import EVENTS_EXPIRED, LEFTOVER, LETTERS_SALVAGED, OBJECTS_LEFT, OBJECTS_SALVAGED
from sluice.edge import aws
from sluice.edge.broker import Broker
from sluice.edge.context import Context, seconds_left
from sluice.edge.failures.salvage import Salvage, error_output, failed_batches
from sluice.edge.metrics import metrics, record_all
from sluice.edge.settings import BrokerSettings, SalvageSettings

logger = Logger()

# A store that takes longer is away, and the next run comes within a minute.
ANSWER_SECONDS, TRIES = 20, 2
# After the last letters of an object, the object has to be moved and the run reported.
MOVE_SECONDS = 30
MOST_TOLD = 10
"""How many troubles a log line tells: during an outage of the store, every object that waits has the same."""


class Parts(msgspec.Struct, frozen=True):
    """What a warm function holds."""

    salvage: Salvage
    reserve_seconds: float
    """How long an object may take: it is not begun when there is less time left."""
    post_seconds: float
    """How long letters may take at a time, and what comes after the last of them."""


@cache
def build() -> Parts:
    """Put the function together, once per cold start."""
    settings = SalvageSettings.from_environ(os.environ)
    heaps = [failed_batches(settings.failed_batch_bucket), error_output(settings.raw_bucket)]
    brokers = BrokerSettings.from_environ(os.environ)
    s3 = aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=TRIES)
    return Parts(
        Salvage(s3, Broker(brokers), settings.dead_letter_topic, heaps),
        settings.salvage_reserve_seconds,
        brokers.produce_deadline_seconds + MOVE_SECONDS,
    )


@metrics.log_metrics
def handler(_event: object, context: Context) -> dict[str, Any]:
    """Salvage what there is time for."""
    return salvage(build(), datetime.now(UTC), lambda: seconds_left(context))


def salvage(parts: Parts, now: datetime, left: Callable[[], float]) -> dict[str, Any]:
    """Salvage and say what it came to; what is left waits for the next run, and an alarm for what waits for long."""
    try:
        report = parts.salvage.run(lambda: left() > parts.reserve_seconds, lambda: left() > parts.post_seconds)
    except Retryable as error:
        # What waits is unknown: nothing is recorded, and the alarm takes that for trouble.
        logger.warning("what waits cannot be listed", extra={"reason": str(error)})
        return {}
    if report.troubles:
        told = {"reasons": report.troubles[:MOST_TOLD], "troubles": len(report.troubles), "left": report.left}
        logger.warning("not everything was salvaged", extra=told)
    waiting = (now - report.oldest).total_seconds() if report.oldest else 0.0
    return record_all(
        {
            OBJECTS_SALVAGED: report.objects,
            LETTERS_SALVAGED: report.letters,
            EVENTS_EXPIRED: report.expired,
            OBJECTS_LEFT: report.left,
            LEFTOVER: max(waiting, 0.0),
        }
    )
