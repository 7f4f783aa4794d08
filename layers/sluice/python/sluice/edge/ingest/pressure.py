"""The word about pressure, published in Valkey for every process of ingest."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from sluice.core.ingest.pressure import Snapshot, UnknownPressureError, read_snapshot
from sluice.edge.cache import Cache, CacheAwayError

NAME = "pressure"
MEMORY_SECONDS = 3.0


class Snapshots:
    """Publishes what holds from now on, and finds what was published last."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def publish(self, share: float, now: datetime, seconds: int) -> None:
        """Say which share of requests to refuse for so many seconds; CacheAwayError where nobody can be told."""
        snapshot = Snapshot(now, now + timedelta(seconds=seconds), share, 1)
        self._cache.put(NAME, msgspec.json.encode(snapshot), seconds)

    def read(self, now: datetime) -> Snapshot:
        """Read the last word."""
        try:
            found = self._cache.get(NAME)
        except CacheAwayError as error:
            raise UnknownPressureError(str(error)) from error
        return read_snapshot(found, now)


class Pressure:
    """The last word as one process remembers it: asked for every few seconds, whatever comes of it."""

    def __init__(self, snapshots: Snapshots, clock: Callable[[], float] = time.monotonic) -> None:
        self._snapshots = snapshots
        self._clock = clock
        self._due = 0.0
        self._last: Snapshot | None = None

    def refresh(self, now: datetime) -> None:
        """Ask again when it is time to; UnknownPressureError says that this brought nothing."""
        if self._clock() < self._due:
            return
        self._due = self._clock() + MEMORY_SECONDS
        found = self._snapshots.read(now)
        # A replica that has taken over may have an older word than the one that is known.
        if self._last is None or found.measured_at > self._last.measured_at:
            self._last = found

    def share(self, now: datetime) -> float:
        """Say which share of requests to refuse: by the last word while it may be believed, and else none."""
        return self._last.share if self._last is not None and now < self._last.until else 0.0
