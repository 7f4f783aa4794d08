"""Where keys are looked up: this process's memory, then Valkey, then PostgreSQL.

The two waits together bound how long a revoked key may still work. When neither store answers, a copy that has outlived
its time still serves, so that a database that is down does not stop the devices it knows.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import psycopg

from sluice.core.errors import Retryable
from sluice.core.keys import StoredKey
from sluice.edge.cache import Cache, CacheAwayError

MEMORY_KEYS = 10_000
LAST_KNOWN = timedelta(hours=6)

LEAVE_ALONE = timedelta(seconds=2)  # a database that just failed is not asked again by every request

_FIND = """
    SELECT key_id, fleet_id, role, secret_hash, events_per_second, rejects_per_second, expires_at, revoked_at
    FROM api_key JOIN fleet USING (fleet_id)
    WHERE key_id = %s
"""


class _Copy(msgspec.Struct, frozen=True):
    key: StoredKey | None
    read_at: datetime


class KeyStore:
    """Finds a key by its id."""

    def __init__(
        self,
        open_database: Callable[[], psycopg.Connection[tuple[object, ...]]],
        cache: Cache,
        memory: timedelta,
        cache_seconds: int,
    ) -> None:
        self._open_database = open_database
        self._cache = cache
        self._memory = memory
        self._cache_seconds = cache_seconds
        self._copies: OrderedDict[str, _Copy] = OrderedDict()
        self._database: psycopg.Connection[tuple[object, ...]] | None = None
        self._away_until = datetime.min.replace(tzinfo=UTC)

    def find(self, key_id: str, now: datetime) -> StoredKey | None:
        """Find a key, or None when there is no such key; Retryable when nobody can tell."""
        copy = self._copies.get(key_id)
        if copy is not None and now - copy.read_at < self._memory:
            return copy.key
        try:
            key = self._find_cached(key_id) or self._find_stored(key_id, now)
        except Retryable:
            if copy is not None and copy.key is not None and now - copy.read_at < LAST_KNOWN:
                return copy.key
            raise
        self._remember(key_id, _Copy(key, now))
        return key

    def _remember(self, key_id: str, copy: _Copy) -> None:
        self._copies[key_id] = copy
        self._copies.move_to_end(key_id)
        if len(self._copies) > MEMORY_KEYS:
            self._copies.popitem(last=False)

    def _find_cached(self, key_id: str) -> StoredKey | None:
        try:
            found = self._cache.get(f"key:{key_id}")
            return None if found is None else msgspec.json.decode(found, type=StoredKey)
        except (CacheAwayError, msgspec.DecodeError):
            # The cache only saves the database a question: away or unreadable, the question is asked.
            return None

    def _find_stored(self, key_id: str, now: datetime) -> StoredKey | None:
        if now < self._away_until:
            raise Retryable("the database was away a moment ago")
        try:
            row = self._ask(key_id)
        except psycopg.Error as error:
            self._away_until = now + LEAVE_ALONE
            raise Retryable(f"the key cannot be looked up: {error}") from error
        if row is None:
            return None
        key = msgspec.convert(dict(zip(StoredKey.__struct_fields__, row, strict=True)), StoredKey)
        self._put_cached(key)
        return key

    def _ask(self, key_id: str) -> tuple[object, ...] | None:
        if self._database is not None:
            try:
                return self._database.execute(_FIND, (key_id,)).fetchone()
            except psycopg.OperationalError:
                # The connection lay idle and was cut; that says nothing yet about the database.
                self._database.close()
                self._database = None
        database = self._open_database()
        row = database.execute(_FIND, (key_id,)).fetchone()
        self._database = database
        return row

    def _put_cached(self, key: StoredKey) -> None:
        with contextlib.suppress(CacheAwayError):
            self._cache.put(f"key:{key.key_id}", msgspec.json.encode(key), self._cache_seconds)
