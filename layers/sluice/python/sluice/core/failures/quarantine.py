"""How much may be put aside before the fault must be ours: of one batch, and of all batches together."""

from datetime import datetime, timedelta

# A few bad records are theirs; many at once are a bad deployment of ours, which must not drain the whole stream.
ALWAYS = 10
SHARE = 0.1

# The same holds for a consumer as a whole: on a quiet stream, each batch alone is small enough to be excused.
START = 100.0
EARNED = 0.1
MOST = 1000.0
KEEP = timedelta(hours=1)
"""An allowance starts over when nothing was put aside for so long."""


class QuarantineExceededError(Exception):
    """Too much is poison: it stays in Kafka, and an alarm calls an operator."""


def check_budget(poison: int, records: int) -> None:
    """Stop when more of a batch is poison than bad luck explains."""
    if poison > ALWAYS + SHARE * records:
        raise QuarantineExceededError(f"{poison} of {records} records cannot be processed; none is put aside")


class Allowance:
    """What a consumer may put aside, or one process's share of it: spent by bad records, earned by good ones."""

    def __init__(self, share: float) -> None:
        self._start = START * share
        self._most = MOST * share
        self._left = self._start
        self._spent_at: datetime | None = None

    def allows(self, poison: int, good: int, now: datetime) -> bool:
        """Say whether there is enough left; a share that is whole always allows one record."""
        self._start_over(now)
        return poison <= max(self._left + EARNED * good, 1.0 if self._left >= self._start else 0.0)

    def earn(self, good: int, now: datetime) -> None:
        """Add what records earn that were processed."""
        self._start_over(now)
        self._left = min(self._most, self._left + EARNED * good)

    def spend(self, poison: int, now: datetime) -> None:
        """Take what was put aside, into debt if need be: it has happened."""
        self._start_over(now)
        self._left -= poison
        self._spent_at = now

    def _start_over(self, now: datetime) -> None:
        if self._spent_at is not None and now - self._spent_at >= KEEP:
            self._left, self._spent_at = self._start, None
