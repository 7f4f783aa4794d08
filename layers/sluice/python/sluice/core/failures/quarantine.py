"""How many records may be quarantined before we assume a fault of ours: per batch, and over all batches."""

from datetime import datetime, timedelta

# A few bad records are the devices' fault. Many at once mean a bad deployment, which must not drain the whole stream.
ALWAYS = 10
SHARE = 0.1

# The same holds for a consumer as a whole: on a quiet stream, every batch is small enough to pass the first check.
START = 100.0
EARNED = 0.1
MOST = 1000.0
KEEP = timedelta(hours=1)
"""An allowance resets after this long without quarantined records."""
MOST_EXTRA = 10_000
"""How many more letters an admin may allow a halted consumer at once; they can be used for as long as an allowance."""


class QuarantineExceededError(Exception):
    """Too many records are poison: they stay in Kafka, and an alarm calls an operator."""


def check_budget(poison: int, records: int) -> None:
    """Stop when a batch has more poison than chance explains."""
    if poison > ALWAYS + SHARE * records:
        raise QuarantineExceededError(f"{poison} of {records} records cannot be processed; none is put aside")


class Allowance:
    """How many records a consumer, or one process of it, may quarantine: bad records spend it, good ones earn it."""

    def __init__(self, share: float) -> None:
        self._start = START * share
        self._most = MOST * share
        self._left = self._start
        self._spent_at: datetime | None = None

    def allows(self, poison: int, good: int, now: datetime) -> bool:
        """Return whether enough is left; a full share always allows one record."""
        self._start_over(now)
        return poison <= max(self._left + EARNED * good, 1.0 if self._left >= self._start else 0.0)

    def earn(self, good: int, now: datetime) -> None:
        """Add what processed records earn."""
        self._start_over(now)
        self._left = min(self._most, self._left + EARNED * good)

    def spend(self, poison: int, now: datetime) -> None:
        """Subtract quarantined records, into debt if necessary: they are already quarantined."""
        self._start_over(now)
        self._left -= poison
        self._spent_at = now

    def _start_over(self, now: datetime) -> None:
        if self._spent_at is not None and now - self._spent_at >= KEEP:
            self._left, self._spent_at = self._start, None
