"""Measuring the inputs of pressure: how long records wait for each consumer, and how full the disks are."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.errors import Retryable
from sluice.core.ingest.backlog import find_age, holds_older
from sluice.core.ingest.pressure import measure_use
from sluice.edge.ingest.disks import Disks
from sluice.edge.retry import Retry
from sluice.edge.topic_offsets import TopicOffsets

# The search for ages ends at LONGEST times the time a record may wait, with a precision of EXACT_TO of that time.
LONGEST, EXACT_TO = 2, 1 / 120


class Measured(msgspec.Struct, frozen=True):
    """The measured values of a run."""

    at: datetime
    waits: dict[str, float]
    """Age of the oldest unread record in seconds, by consumer."""
    used: float
    """The age of the oldest record that presses, as a part of the time that a record may wait."""
    disk: float | None
    """The usage of the fullest disk in percent; None if CloudWatch did not report it."""


class Gauge(msgspec.Struct, frozen=True):
    """The clients with which a warm function measures."""

    offsets: Mapping[str, TopicOffsets]
    """By consumer."""
    disks: Disks
    buffer_seconds: float
    """How long a record may wait for its consumers."""
    retry: Retry
    now: Callable[[], datetime]
    log: Logger

    def measure(self) -> Measured:
        """Measure once; Retryable if the brokers do not answer. The disks may stay unknown."""
        waits = self.retry.run(lambda: {name: self._ask_wait(one) for name, one in self.offsets.items()})
        now = self.now()
        return Measured(now, waits, measure_use(waits, self.buffer_seconds), self._ask_disk(now))

    def _ask_wait(self, offsets: TopicOffsets) -> float:
        unread, now = offsets.ask_unread(), self.now()

        def is_older(age: float) -> bool:
            return holds_older(unread, offsets.ask_since(now - timedelta(seconds=age), unread))

        buffer = self.buffer_seconds
        return find_age(is_older, LONGEST * buffer, EXACT_TO * buffer) if unread else 0.0

    def _ask_disk(self, now: datetime) -> float | None:
        try:
            return self.disks.ask(now)
        except Retryable as error:
            # The age of unread records decides alone, and an alarm reports the missing figure.
            self.log.warning("the disks are not known", extra={"reason": str(error)})
            return None
