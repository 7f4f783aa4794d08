"""The loop of roll: until the next run begins, each step rolls some due windows of every width."""

import contextlib
import secrets
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.breaker import Breaker
from sluice.core.consumers import AGGREGATE
from sluice.core.errors import Retryable
from sluice.core.rollups.watermark import OffsetSnapshot, place_watermark
from sluice.edge.rollups.computing import NARROWER
from sluice.edge.rollups.rolling import Rolled, Rolling, UnrollableError
from sluice.edge.settings import RollSettings
from sluice.edge.topic_offsets import TopicOffsets

logger = Logger()

LEAVE_ALONE_SECONDS = 10.0
# The number of brokers' answers that the loop remembers; for older ones, only the coverage counts.
SNAPSHOTS = 120


class Clock(msgspec.Struct, frozen=True):
    """Time as the loop sees it."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    passed: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class RollReport(msgspec.Struct):
    """The result of a run."""

    windows: int = 0
    below_horizon: int = 0
    steps: int = 0
    failures: int = 0
    unanswered: int = 0
    seconds: float = 0.0
    aside: frozenset[int] = frozenset()
    """Shards that could not be rolled; the next run retries them."""
    watermark: datetime | None = None
    watermark_age: timedelta | None = None
    """The watermark's lag behind the clock at the end."""
    markers: int | None = None
    """The number of waiting markers at the end; None if the database did not answer."""
    error: Retryable | UnrollableError | None = None
    """The last failure, if the run failed: no step succeeded, or shards are set aside."""

    def add(self, rolled: Rolled) -> bool:
        """Add the work of one transaction; return whether it did any."""
        self.windows += rolled.windows
        self.below_horizon += rolled.below_horizon
        return rolled.shards > 0


class RollLoop:
    """One process's loop; it remembers the brokers' answers between runs."""

    def __init__(
        self, settings: RollSettings, rolling: Rolling, offsets: TopicOffsets, clock: Clock | None = None
    ) -> None:
        self._settings = settings
        self._rolling = rolling
        self._offsets = offsets
        self._clock = clock or Clock()
        self._snapshots = deque[OffsetSnapshot](maxlen=SNAPSHOTS)
        self._brokers = Breaker("the brokers", LEAVE_ALONE_SECONDS, self._clock.passed)

    def run(self) -> RollReport:
        """Run step after step; a failed step is retried with fewer shards.

        A run fails if every step fails. Bad shards are skipped, so that the other shards do not wait; the run then
        fails at its end. So does a run of a process that the brokers have never answered.
        """
        settings, clock, report = self._settings, self._clock, RollReport()
        ends = clock.passed() + settings.roll_loop_seconds
        shards = settings.roll_shards
        error: Retryable | UnrollableError | None = None
        while clock.passed() < ends:
            began = clock.passed()
            try:
                done = self._step(shards, report)
            except Retryable as away:
                error = away
                report.failures += 1
                logger.warning("a step failed", extra={"reason": str(away), "shards": shards})
                # Work that is too much for one transaction may succeed in parts.
                shards = max(1, shards // 2)
                clock.sleep(settings.roll_pause_seconds * (0.5 + secrets.randbelow(1000) / 1000))
                continue
            except UnrollableError as defect:
                error = defect
                report.failures += 1
                logger.exception("shards cannot be rolled")
                if len(defect.shards) == 1:
                    report.aside |= defect.shards
                # One shard at a time shows which one is bad.
                shards = 1
                clock.sleep(settings.roll_pause_seconds)
                continue
            report.steps += 1
            shards = min(settings.roll_shards, shards * 2)
            if done:
                report.seconds += clock.passed() - began
            else:
                clock.sleep(settings.roll_pause_seconds)
        with contextlib.suppress(Retryable):
            report.markers = self._rolling.count_markers()
        if report.watermark is not None:
            report.watermark_age = clock.now() - report.watermark
        if report.steps == 0 or report.aside:
            report.error = error
        elif not self._snapshots:
            # Nothing can close, and the age of the watermark is not known: only a failed run raises an alarm.
            report.error = Retryable("the brokers have not answered this process")
        return report

    def _step(self, shards: int, report: RollReport) -> bool:
        """Roll some due windows of each width; return whether any were due."""
        report.watermark = self._find_watermark(report)
        done = report.add(self._rolling.roll_minutes(report.watermark, shards, report.aside))
        # A backlog at one width does not block the other widths.
        for resolution in NARROWER:
            done |= report.add(self._rolling.roll_wider(resolution, report.aside))
        return done

    def _find_watermark(self, report: RollReport) -> datetime | None:
        """Ask the brokers and the ledger; if the brokers do not answer, use their last answers."""
        asked_at = self._clock.now()
        try:
            with self._brokers.asking():
                self._snapshots.append(OffsetSnapshot(asked_at, self._offsets.ask_extents()))
        except Retryable as error:
            report.unanswered += 1
            logger.warning("the brokers do not answer", extra={"reason": str(error)})
        covered = self._rolling.read_covered(AGGREGATE.name, self._settings.raw_events_topic)
        return place_watermark(covered, self._snapshots, timedelta(seconds=self._settings.produce_deadline_seconds))
