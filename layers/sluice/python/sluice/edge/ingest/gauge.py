"""Measuring what decides about pressure: how long records wait for each consumer, and how full the disks are."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.errors import Retryable
from sluice.core.ingest.backlog import find_age, holds_older
from sluice.edge.ingest.disks import Disks
from sluice.edge.patience import Patience
from sluice.edge.topic_offsets import TopicOffsets

# Ages are looked for up to so many times what a record may wait, and found to such a part of it.
LONGEST, EXACT_TO = 2, 1 / 120


class Measured(msgspec.Struct, frozen=True):
    """What a run has measured."""

    at: datetime
    waits: dict[str, float]
    """How long the oldest unread record has waited, in seconds, by consumer."""
    used: float
    """Which part of the time that a record may wait the oldest has waited."""
    disk: float | None
    """How full the fullest disk is, in percent; None where CloudWatch did not say."""


class Gauge(msgspec.Struct, frozen=True):
    """What a warm function measures with."""

    offsets: Mapping[str, TopicOffsets]
    """By consumer."""
    disks: Disks
    buffer_seconds: float
    """How long a record may wait for its consumers."""
    patience: Patience
    now: Callable[[], datetime]
    log: Logger

    def measure(self) -> Measured:
        """Measure once; Retryable when the brokers do not answer, while the disks may stay unknown."""
        waits = self.patience.persist(lambda: {name: self._ask_wait(one) for name, one in self.offsets.items()})
        now = self.now()
        return Measured(now, waits, max(waits.values()) / self.buffer_seconds, self._ask_disk(now))

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
            # The age of what waits decides alone, and an alarm tells of it.
            self.log.warning("the disks are not known", extra={"reason": str(error)})
            return None
