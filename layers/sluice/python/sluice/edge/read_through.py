"""Looking values up: in this process's memory, then in Valkey, then at their origin.

While the origin is down, the newest copy is used, as long as its last-known age allows.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Generic, TypeVar

import msgspec

from sluice.core.errors import Retryable
from sluice.edge.cache import Cache, CacheAwayError

Value = TypeVar("Value")

MOST_ABSENCES = 1000
"""Kept apart from values: whoever invents names must not push out what serves during an outage."""


class CachedValue(msgspec.Struct, Generic[Value], frozen=True):
    """A value as read from its origin at some time."""

    value: Value
    read_at: Annotated[datetime, msgspec.Meta(tz=True)]

    def is_within(self, age: timedelta, now: datetime) -> bool:
        """Return whether its age is within a limit; a corrupt time far in the future is not."""
        return abs(now - self.read_at) < age


class Ages(msgspec.Struct, frozen=True):
    """How long copies are valid."""

    memory: timedelta
    """After this process took the copy from Valkey or from the origin."""
    shared: timedelta
    """After the origin was read."""
    most: timedelta
    """After the origin was read, through all caches: a change at the origin is seen no later than this."""
    last_known: timedelta
    """After the origin was read, while the origin is down."""


@dataclass(frozen=True)
class FoundValue(Generic[Value]):
    """A value, when it was read at its origin, and the origin's failure if the copy is no longer valid."""

    value: Value
    read_at: datetime
    away: Retryable | None = None


@dataclass(frozen=True)
class ReadThrough(Generic[Value]):
    """Values of one kind, each by its name."""

    prefix: str
    kind: type[CachedValue[Value]]
    cache: Cache
    ages: Ages
    most_kept: int
    is_absence: Callable[[Value], bool]
    _held: OrderedDict[str, tuple[CachedValue[Value], datetime]] = field(default_factory=OrderedDict, init=False)
    """Copies, and until when they are valid."""
    _absent: OrderedDict[str, tuple[CachedValue[Value], datetime]] = field(default_factory=OrderedDict, init=False)
    """Copies that say that no value exists."""

    def find(self, name: str, ask: Callable[[], Value], now: datetime) -> FoundValue[Value]:
        """Find a value; ask the origin if no copy is valid. Retryable if it is down and no copy is usable."""
        own, believed_until = self._held.get(name) or self._absent.get(name) or (None, now)
        if own is not None and now < believed_until:
            return FoundValue(own.value, own.read_at)
        shared = self._read_shared(name)
        if shared is not None and shared.is_within(self.ages.shared, now):
            return self._keep(name, shared, now)
        try:
            copy = CachedValue(ask(), now)
        except Retryable as error:
            known = [one for one in (own, shared) if one is not None and one.is_within(self.ages.last_known, now)]
            if not known:
                raise
            newest = max(known, key=lambda one: one.read_at)
            return FoundValue(newest.value, newest.read_at, error)
        # An absence is shared only to replace a value that others may have: the number of absent names is unlimited.
        if shared is not None or not self.is_absence(copy.value):
            # Kept longer than it is valid: new processes use it while the origin is down.
            with contextlib.suppress(CacheAwayError):
                seconds = int(self.ages.last_known.total_seconds())
                self.cache.put(f"{self.prefix}:{name}", msgspec.json.encode(copy), seconds)
        return self._keep(name, copy, now)

    def _keep(self, name: str, copy: CachedValue[Value], now: datetime) -> FoundValue[Value]:
        absent = self.is_absence(copy.value)
        kept, other = (self._absent, self._held) if absent else (self._held, self._absent)
        other.pop(name, None)
        kept[name] = copy, min(now + self.ages.memory, copy.read_at + self.ages.most)
        kept.move_to_end(name)
        if len(kept) > (MOST_ABSENCES if absent else self.most_kept):
            kept.popitem(last=False)
        return FoundValue(copy.value, copy.read_at)

    def _read_shared(self, name: str) -> CachedValue[Value] | None:
        try:
            found = self.cache.get(f"{self.prefix}:{name}")
            return None if found is None else msgspec.json.decode(found, type=self.kind)
        except (CacheAwayError, ValueError):
            # The cache only saves a question to the origin: if it is down or unreadable, the origin is asked.
            return None
