"""Deadletter: dead letters become objects that can be queried, put directly, so that this end has no end of its own.

decode -> group by partition and day -> put each group under a name made of its place; a retry writes the same again
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import BotoCoreError, ClientError

from sluice.core.failures.letterbox import collect
from sluice.core.records import Origin, read_records, report_failures
from sluice.edge import aws
from sluice.edge.context import Context, seconds_left
from sluice.edge.settings import DeadLetterSettings

logger = Logger()
metrics = Metrics()

ANSWER_SECONDS, TRIES = 10, 3
# Between tries the client pauses for some seconds at most.
PUT_SECONDS = TRIES * (aws.CONNECT_SECONDS + ANSWER_SECONDS) + 10


class Parts(msgspec.Struct, frozen=True):
    """What a warm function holds."""

    settings: DeadLetterSettings
    s3: Any


@cache
def build() -> Parts:
    """Put the function together, once per cold start."""
    settings = DeadLetterSettings.from_environ(os.environ)
    return Parts(settings, aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=TRIES))


@metrics.log_metrics
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Keep one batch of dead letters; a partition of which anything fails comes again until it is kept."""
    return keep(event, build(), datetime.now(UTC), lambda: seconds_left(context))


def keep(event: dict[str, Any], parts: Parts, now: datetime, time_left: Callable[[], float]) -> dict[str, Any]:
    """Put every letter of the batch, as long as the store takes them and there is time."""
    away = ""
    failed: set[Origin] = set()
    for name, body in collect(read_records(event), parts.settings.aws_region, now).items():
        if not away and time_left() < PUT_SECONDS:
            away = "there is no time left"
        if not away:
            try:
                parts.s3.put_object(
                    Bucket=parts.settings.dead_letter_bucket,
                    Key=name,
                    Body=body.data,
                    ContentType="application/gzip",
                )
            except (BotoCoreError, ClientError) as error:
                # Whoever does not answer now would keep each of the others waiting too.
                away = str(error)
        if away:
            # From the partition's first on: the same records make the same names again.
            failed.add(body.first)
        else:
            metrics.add_metric("LettersKept", MetricUnit.Count, body.letters)
    if away:
        logger.warning("letters are not kept yet", reason=away)
    return report_failures(failed)
