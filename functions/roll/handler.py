"""Roll: samples become minutes, minutes hours, hours days, as soon as each window is closed.

find the watermark -> roll minutes that it closes, or that changed since -> an hour -> a day -> again
"""

import os
from datetime import timedelta
from functools import cache
from typing import Any

from sluice.core.consumers import AGGREGATE
from sluice.core.metrics import (
    BROKERS_UNANSWERED,
    MARKERS_PENDING,
    ROLL_TIME,
    STEPS_FAILED,
    WATERMARK_AGE,
    WINDOWS_BELOW_HORIZON,
    WINDOWS_ROLLED,
)
from sluice.edge.database import Database
from sluice.edge.metrics import metrics, record
from sluice.edge.rollups import rolling
from sluice.edge.rollups.roll_loop import RollLoop, RollReport
from sluice.edge.rollups.rolling import Rolling
from sluice.edge.settings import BrokerSettings, DatabaseSettings, RollSettings
from sluice.edge.topic_offsets import TopicOffsets


@cache
def build() -> RollLoop:
    """Build the function, once per cold start."""
    settings = RollSettings.from_environ(os.environ)
    login = DatabaseSettings.from_environ(os.environ)
    seconds = settings.roll_answer_seconds
    # The server's timeout comes first, so that the connection stays clean.
    store = Database(lambda: rolling.connect(login, seconds - 1), seconds)
    roller = Rolling(
        store,
        grace=timedelta(seconds=settings.grace_seconds),
        settling={
            "1m": timedelta(seconds=settings.straggler_seconds),
            "1h": timedelta(seconds=settings.hour_seconds),
            "1d": timedelta(seconds=settings.day_seconds),
        },
    )
    offsets = TopicOffsets(BrokerSettings.from_environ(os.environ), settings.raw_events_topic, AGGREGATE.name)
    return RollLoop(settings, roller, offsets)


@metrics.log_metrics
def handler(_event: object, _context: object) -> dict[str, Any]:
    """Roll until the next run is due; a failed run reports its work before it raises."""
    done = build().run()
    report(done)
    if done.error is not None:
        raise done.error
    return {"steps": done.steps, "windows": done.windows}


def report(done: RollReport) -> None:
    """Record the run's results."""
    record(WINDOWS_ROLLED, done.windows)
    record(WINDOWS_BELOW_HORIZON, done.below_horizon)
    record(STEPS_FAILED, done.failures)
    record(BROKERS_UNANSWERED, done.unanswered)
    record(ROLL_TIME, done.seconds)
    if done.markers is not None:
        record(MARKERS_PENDING, done.markers)
    if done.watermark_age is not None:
        record(WATERMARK_AGE, done.watermark_age.total_seconds())
