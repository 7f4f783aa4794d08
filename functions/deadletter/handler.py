"""Deadletter: dead letters become objects that can be queried, put directly, so that this end has no end of its own.

decode -> group by partition and day -> put each group under a name made of its place; a retry writes the same again
"""

import os
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
import msgspec
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from sluice.core.letterbox import Objects, collect
from sluice.core.records import read_records
from sluice.edge.settings import DeadLetterSettings

logger = Logger()
metrics = Metrics()


class Parts(msgspec.Struct, frozen=True):
    """What a warm function holds."""

    settings: DeadLetterSettings
    s3: Any


@cache
def build() -> Parts:
    """Put the function together, once per cold start."""
    return Parts(DeadLetterSettings.from_environ(os.environ), boto3.client("s3"))


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Keep one batch of dead letters; whatever fails fails the batch, which comes again until it is kept."""
    return keep(event, build(), datetime.now(UTC))


def keep(event: dict[str, Any], parts: Parts, now: datetime) -> dict[str, Any]:
    """Put every letter of the batch."""
    objects: Objects = collect(read_records(event), parts.settings.aws_region, now)
    for name, body in objects.items():
        parts.s3.put_object(
            Bucket=parts.settings.dead_letter_bucket,
            Key=name,
            Body=body.data,
            ContentType="application/gzip",
        )
    metrics.add_metric("LettersKept", MetricUnit.Count, sum(body.letters for body in objects.values()))
    return {"batchItemFailures": []}
