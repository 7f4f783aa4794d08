"""What each process of ingest lets in while the cache is away: its share of the fleet's quota, and no more."""

from tests.simulation.processes import Invocation
from tests.simulation.settings import INGEST_PROCESSES

BURST_SECONDS = 10
LEASE_SECONDS = 2.0
"""What was taken from the cache just before may still be spent."""


class Grants:
    """A bucket for each process, as it must be at most."""

    def __init__(self, quota: float, wrong: dict[str, None]) -> None:
        self._rate = quota / INGEST_PROCESSES
        self._wrong = wrong
        self._away_since = 0.0
        self._buckets: dict[int, tuple[float, float, int]] = {}
        """By process: what it may still let in, when that was so, and the invocation that lets in now."""

    def begin(self, now: float) -> None:
        """Begin with full buckets."""
        self._away_since = now
        self._buckets.clear()

    def note(self, writer: Invocation, now: float, *, away: bool) -> None:
        """Look at one event that an invocation stores. A batch may use up more than there is, and the next waits."""
        process = writer.process
        if not away or writer.ends - process.function.timeout_seconds < self._away_since + LEASE_SECONDS:
            return
        most = self._rate * BURST_SECONDS
        left, seen, number = self._buckets.get(process.number, (most, now, 0))
        left = min(most, left + (now - seen) * self._rate)
        if number != writer.number and left < 0:
            self._wrong[f"process {process.number} of ingest lets more in than its share while the cache is away"] = (
                None
            )
        self._buckets[process.number] = left - 1, now, writer.number
