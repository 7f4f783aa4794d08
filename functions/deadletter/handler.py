"""Deadletter: dead letters become objects in S3, written directly, so that they need no dead letters of their own.

decode -> group by partition and day -> write each group under a name from its first offset; a retry overwrites it
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger

from sluice.core.errors import Retryable
from sluice.core.failures.letterbox import collect
from sluice.core.metrics import LETTERS_KEPT
from sluice.core.records import Origin, read_records, report_failures
from sluice.edge import aws
from sluice.edge.bucket import Bucket
from sluice.edge.context import Context, seconds_left
from sluice.edge.metrics import metrics, record
from sluice.edge.settings import DeadLetterSettings

logger = Logger()

ANSWER_SECONDS, TRIES = 10, 3
# Between attempts the client pauses for a few seconds at most.
PUT_SECONDS = TRIES * (aws.CONNECT_SECONDS + ANSWER_SECONDS) + 10


@cache
def build() -> tuple[Bucket, str]:
    """Build the function, once per cold start."""
    settings = DeadLetterSettings.from_environ(os.environ)
    s3 = aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=TRIES)
    return Bucket(s3, settings.dead_letter_bucket), settings.aws_region


@metrics.log_metrics
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Store one batch of dead letters; a partition with any failure is delivered again until it is stored."""
    return keep(event, *build(), datetime.now(UTC), lambda: seconds_left(context))


def keep(
    event: dict[str, Any], letters: Bucket, region: str, now: datetime, time_left: Callable[[], float]
) -> dict[str, Any]:
    """Write every letter of the batch, as long as S3 accepts them and time is left."""
    trouble = ""
    failed: set[Origin] = set()
    for name, body in collect(read_records(event), region, now).items():
        if not trouble and time_left() < PUT_SECONDS:
            trouble = "no time is left"
        if not trouble:
            try:
                letters.put(name, body.data, "application/gzip")
                record(LETTERS_KEPT, body.letters)
            except Retryable as error:
                # If S3 is down, each of the other groups would also wait for its timeout.
                trouble = str(error)
        if trouble:
            # Retry from the partition's first record: the same records make the same names again.
            failed.add(body.first)
    if trouble:
        logger.warning("letters are not stored yet", extra={"reason": trouble})
    return report_failures(failed)
