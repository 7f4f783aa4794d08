"""Where keys are looked up: this process's memory, then Valkey, then PostgreSQL.

The two waits together bound how long a revoked key may still work. When neither store answers, a copy that has outlived
its time still serves, so that a database that is down does not stop the devices it knows.
"""

import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from sluice.core.api.keys import StoredKey
from sluice.core.breaker import Breaker
from sluice.core.errors import Retryable
from sluice.edge.cache import Cache, CacheAwayError
from sluice.edge.database import DEFECTS, Database

MEMORY_KEYS = 10_000
LAST_KNOWN = timedelta(hours=6)

# A database that just failed is not asked again by every request: finding it away takes up to three seconds.
LEAVE_ALONE_SECONDS = 10.0

_FIND = """
    SELECT to_json(found) FROM (
        SELECT key_id, fleet_id, role, secret_hash, events_per_second, rejects_per_second, expires_at, revoked_at
        FROM api_key JOIN fleet USING (fleet_id)
        WHERE key_id = $1
    ) AS found
"""


class Copy(msgspec.Struct, frozen=True):
    """A key as it was, or was not, in the database at some time."""

    key: StoredKey | None
    read_at: datetime

    def is_younger_than(self, age: timedelta, now: datetime) -> bool:
        """Say whether it may still be believed."""
        return now - self.read_at < age


class KeyStore:
    """Finds a key by its id."""

    def __init__(
        self,
        database: Database,
        cache: Cache,
        memory: timedelta,
        shared: timedelta,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._cache = cache
        self._memory = memory
        self._shared = shared
        self._copies: OrderedDict[str, Copy] = OrderedDict()
        # By a clock of our own: a request's time is when it arrived, and the failure is seconds later.
        self._breaker = Breaker("the database", LEAVE_ALONE_SECONDS, clock)

    def find(self, key_id: str, now: datetime) -> StoredKey | None:
        """Find a key, or None when there is no such key; Retryable when nobody can tell."""
        own = self._copies.get(key_id)
        if own is not None and own.is_younger_than(self._memory, now):
            return own.key
        shared = self._read_shared(key_id)
        if shared is not None and shared.is_younger_than(self._shared, now):
            # Kept from now on: the two ages add up, and their sum is what a revocation may take.
            return self._keep(key_id, Copy(shared.key, now))
        try:
            found = Copy(self._read_stored(key_id), now)
        except Retryable:
            for last_known in (own, shared):
                if last_known is not None and last_known.key and last_known.is_younger_than(LAST_KNOWN, now):
                    return last_known.key
            raise
        if found.key is not None:
            # Kept longer than it is believed: it is what new processes know while the database is away.
            with contextlib.suppress(CacheAwayError):
                self._cache.put(f"key:{key_id}", msgspec.json.encode(found), int(LAST_KNOWN.total_seconds()))
        return self._keep(key_id, found)

    def _keep(self, key_id: str, copy: Copy) -> StoredKey | None:
        self._copies[key_id] = copy
        self._copies.move_to_end(key_id)
        if len(self._copies) > MEMORY_KEYS:
            self._copies.popitem(last=False)
        return copy.key

    def _read_shared(self, key_id: str) -> Copy | None:
        try:
            found = self._cache.get(f"key:{key_id}")
            return None if found is None else msgspec.json.decode(found, type=Copy)
        except (CacheAwayError, msgspec.DecodeError):
            # The cache only saves the database a question: away or unreadable, the question is asked.
            return None

    def _read_stored(self, key_id: str) -> StoredKey | None:
        with self._breaker.asking():
            try:
                found = self._database.ask(_FIND, key_id)
            except DEFECTS as error:
                # Of a table, say, that this release does not know: known keys work nevertheless.
                raise Retryable(f"the key cannot be looked up: {error}") from error
        try:
            return None if found is None else msgspec.json.decode(found, type=StoredKey)
        except msgspec.DecodeError as error:
            raise Retryable(f"the key's row cannot be read: {error}") from error
