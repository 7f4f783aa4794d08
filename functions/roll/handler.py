"""Roll: samples become minutes, minutes hours, hours days, as soon as nothing more is to come for them.

ask how far reception is dealt with -> roll minutes that it closes, or that changed since -> an hour -> a day -> again
"""

import contextlib
import os
import secrets
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from sluice.core.errors import Retryable
from sluice.core.numbers.watermark import Question, place_watermark
from sluice.edge.database import Database
from sluice.edge.extents import Extents
from sluice.edge.numbers import rolling
from sluice.edge.numbers.rolling import NARROWER, Rolled, Rolling, Settling, UnrollableError
from sluice.edge.settings import BrokerSettings, DatabaseSettings, RollSettings

logger = Logger()
metrics = Metrics()

CONSUMER = "aggregate"
# How many of the brokers' answers are remembered: a consumer further behind is known by what it has covered.
QUESTIONS = 120


class Clock(msgspec.Struct, frozen=True):
    """Time as the roller sees it."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    passed: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Parts(msgspec.Struct, frozen=True):
    """What a warm function holds."""

    settings: RollSettings
    rolling: Rolling
    extents: Extents
    questions: deque[Question]
    clock: Clock


class Tally(msgspec.Struct):
    """What a run has come to."""

    windows: int = 0
    below_horizon: int = 0
    steps: int = 0
    failures: int = 0
    unanswered: int = 0
    seconds: float = 0.0
    aside: frozenset[int] = frozenset()
    """Shards that could not be rolled; the next run tries them again."""
    watermark: datetime | None = None

    def add(self, rolled: Rolled) -> bool:
        """Add what one transaction has done; say whether that was anything."""
        self.windows += rolled.windows
        self.below_horizon += rolled.below_horizon
        return rolled.shards > 0


@cache
def build() -> Parts:
    """Put the function together, once per cold start."""
    settings = RollSettings.from_environ(os.environ)
    login = DatabaseSettings.from_environ(os.environ)
    seconds = settings.roll_answer_seconds
    # The server gives up first, so that it is left in order.
    store = Database(lambda: rolling.connect(login, seconds - 1), seconds)
    settling = Settling(
        *(timedelta(seconds=one) for one in (settings.straggler_seconds, settings.hour_seconds, settings.day_seconds))
    )
    return Parts(
        settings,
        Rolling(store, timedelta(seconds=settings.grace_seconds), settling),
        Extents(BrokerSettings.from_environ(os.environ), settings.raw_events_topic),
        deque(maxlen=QUESTIONS),
        Clock(),
    )


@metrics.log_metrics
def handler(_event: object, _context: object) -> dict[str, Any]:
    """Roll until it is time for the next run."""
    return roll(build())


def roll(parts: Parts) -> dict[str, Any]:
    """Take step after step; one that fails is taken again, and only a run in which all fail is a failure.

    So is one that met shards it could not roll, but not before its end: the others do not wait for them.
    """
    settings, clock, tally = parts.settings, parts.clock, Tally()
    ends = clock.passed() + settings.roll_loop_seconds
    shards = settings.roll_shards
    failure: Retryable | UnrollableError | None = None
    while clock.passed() < ends:
        began = clock.passed()
        try:
            done = step(parts, shards, tally)
        except Retryable as error:
            failure = error
            tally.failures += 1
            logger.warning("a step failed", extra={"reason": str(error), "shards": shards})
            # What was too much for one transaction may do in parts.
            shards = max(1, shards // 2)
            clock.sleep(settings.roll_pause_seconds * (0.5 + secrets.randbelow(1000) / 1000))
            continue
        except UnrollableError as error:
            failure = error
            tally.failures += 1
            logger.exception("shards cannot be rolled")
            if len(error.shards) == 1:
                tally.aside |= error.shards
            # Which of several it is shows when they are taken one by one.
            shards = 1
            clock.sleep(settings.roll_pause_seconds)
            continue
        tally.steps += 1
        shards = min(settings.roll_shards, shards * 2)
        if done:
            tally.seconds += clock.passed() - began
        else:
            clock.sleep(settings.roll_pause_seconds)
    report(parts, tally)
    if failure is not None and (tally.steps == 0 or tally.aside):
        raise failure
    return {"steps": tally.steps, "windows": tally.windows}


def step(parts: Parts, shards: int, tally: Tally) -> bool:
    """Roll some of what is due, of each width; say whether there was any."""
    tally.watermark = find_watermark(parts, tally)
    done = tally.add(parts.rolling.roll_minutes(tally.watermark, shards, tally.aside))
    # Nothing that is due at one width keeps another waiting.
    for resolution in NARROWER:
        done |= tally.add(parts.rolling.roll_wider(resolution, tally.aside))
    return done


def find_watermark(parts: Parts, tally: Tally) -> datetime | None:
    """Ask the brokers and the ledger; without the brokers, what they last said and the ledger have to do."""
    asked_at = parts.clock.now()
    try:
        parts.questions.append(Question(asked_at, parts.extents.ask()))
    except Retryable as error:
        tally.unanswered += 1
        logger.warning("the brokers do not answer", extra={"reason": str(error)})
    covered = parts.rolling.read_covered(CONSUMER, parts.settings.raw_events_topic)
    slack = timedelta(seconds=parts.settings.produce_deadline_seconds)
    return place_watermark(covered, parts.questions, slack)


def report(parts: Parts, tally: Tally) -> None:
    """Say what the run has come to."""
    counts = {
        "WindowsRolled": tally.windows,
        "WindowsBelowHorizon": tally.below_horizon,
        "StepsFailed": tally.failures,
        "BrokersUnanswered": tally.unanswered,
    }
    # A database that is away cannot say what waits; that it is away is said by the failures.
    with contextlib.suppress(Retryable):
        counts["MarkersPending"] = parts.rolling.count_markers()
    for name, value in counts.items():
        metrics.add_metric(name, MetricUnit.Count, value)
    metrics.add_metric("RollSeconds", MetricUnit.Seconds, tally.seconds)
    if tally.watermark is not None:
        age = (parts.clock.now() - tally.watermark).total_seconds()
        metrics.add_metric("WatermarkAgeSeconds", MetricUnit.Seconds, age)
