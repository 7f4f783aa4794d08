"""The pressure snapshot, published in Valkey for every ingest process."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from sluice.core.ingest.pressure import Snapshot, UnknownPressureError, read_snapshot
from sluice.edge.cache import Cache, CacheAwayError

NAME = "pressure"
MEMORY_SECONDS = 3.0


class Snapshots(msgspec.Struct, frozen=True):
    """Publishes the current snapshot, and finds the last one."""

    cache: Cache

    def publish(self, share: float, now: datetime, seconds: int) -> None:
        """Publish the share of requests to refuse for so many seconds; CacheAwayError if the cache is down."""
        snapshot = Snapshot(now, now + timedelta(seconds=seconds), share, 1)
        self.cache.put(NAME, msgspec.json.encode(snapshot), seconds)

    def read(self, now: datetime) -> Snapshot:
        """Read the last snapshot."""
        try:
            found = self.cache.get(NAME)
        except CacheAwayError as error:
            raise UnknownPressureError(str(error)) from error
        return read_snapshot(found, now)


class Pressure:
    """One process's copy of the last snapshot, refreshed every few seconds, even after a failure."""

    def __init__(self, snapshots: Snapshots, clock: Callable[[], float] = time.monotonic) -> None:
        self._snapshots = snapshots
        self._clock = clock
        self._due = 0.0
        self._last: Snapshot | None = None

    def refresh(self, now: datetime) -> None:
        """Read the snapshot again if it is due; UnknownPressureError if no valid one was found."""
        if self._clock() < self._due:
            return
        self._due = self._clock() + MEMORY_SECONDS
        found = self._snapshots.read(now)
        # After a failover, the new primary may have an older snapshot than the known one.
        if self._last is None or found.measured_at > self._last.measured_at:
            self._last = found

    def share(self, now: datetime) -> float:
        """Return the share of requests to refuse: from the last snapshot while it is valid, otherwise none."""
        return self._last.share if self._last is not None and now < self._last.until else 0.0
