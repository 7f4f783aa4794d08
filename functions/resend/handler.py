"""Resend: the events in a chunk of raw files go to replay-events, at a bounded rate.

read all files of the chunk -> produce, piece by piece -> record the chunk
"""

import os
from functools import cache, partial
from typing import Any

import msgspec

from sluice.core.limits import Limits
from sluice.core.metrics import EVENTS_RESENT
from sluice.edge import aws
from sluice.edge.broker import Broker
from sluice.edge.bucket import Bucket
from sluice.edge.database import Database, connect
from sluice.edge.metrics import metrics, record
from sluice.edge.replay.resending import Chunk, Resending
from sluice.edge.settings import BrokerSettings, DatabaseSettings, ResendSettings

ANSWER_SECONDS, TRIES = 30, 3  # for S3


@cache
def build() -> Resending:
    """Build the function, once per cold start."""
    settings, login = ResendSettings.from_environ(os.environ), DatabaseSettings.from_environ(os.environ)
    seconds = settings.resend_answer_seconds
    return Resending(
        raw=Bucket(aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=TRIES), settings.raw_bucket),
        broker=Broker(BrokerSettings.from_environ(os.environ)),
        # The server's timeout must come first: its error names the reason.
        database=Database(partial(connect, login, seconds), seconds + 1),
        topic=settings.replay_events_topic,
        per_second=settings.resend_per_second / settings.resend_concurrency,
        limits=Limits(),
    )


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Send one chunk."""
    sent = build().send(msgspec.convert(event, Chunk))
    record(EVENTS_RESENT, sent["events"])
    return sent
