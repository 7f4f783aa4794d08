"""Keys by their ids, from PostgreSQL; known keys keep working while it is down, so that their devices can still send.

The two maximum ages of a copy together bound how long a revoked key may still work.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import msgspec

from sluice.core.api.keys import Site, StoredKey, open_with, parse_key
from sluice.core.api.requests import Request
from sluice.core.breaker import Breaker
from sluice.core.errors import Refusal, Retryable
from sluice.edge import cache as valkey
from sluice.edge import database
from sluice.edge.cache import Cache
from sluice.edge.database import DEFECTS, Database
from sluice.edge.read_through import Ages, CachedValue, ReadThrough
from sluice.edge.settings import CacheSettings, DatabaseSettings

MEMORY_KEYS = 10_000
LAST_KNOWN = timedelta(hours=6)

# After a failure, requests do not ask the database for a while: each timeout takes up to three seconds.
LEAVE_ALONE_SECONDS = 10.0

_FIND = """
    SELECT to_json(found) FROM (
        SELECT key_id, fleet_id, role, secret_hash, events_per_second, rejects_per_second, expires_at, revoked_at,
            home_region
        FROM api_key JOIN fleet USING (fleet_id)
        WHERE key_id = $1
    ) AS found
"""


def make_stores(
    login: DatabaseSettings, place: CacheSettings, answer_seconds: float, cut_after: float
) -> tuple[Database, Cache]:
    """Make the database and the cache for keys; each connects at its first use."""
    connect = partial(database.connect, login, answer_seconds)
    return Database(connect, cut_after), Cache(partial(valkey.connect, place))


class KeyStore:
    """Finds a key by its id."""

    def __init__(
        self,
        database: Database,
        cache: Cache,
        memory_seconds: float,
        shared_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        memory, shared = timedelta(seconds=memory_seconds), timedelta(seconds=shared_seconds)
        self._known = ReadThrough(
            "key",
            CachedValue[StoredKey | None],
            cache,
            Ages(memory, shared, most=memory + shared, last_known=LAST_KNOWN),
            MEMORY_KEYS,
            is_absence=lambda key: key is None,
        )
        # The breaker has its own clock: a request's time is its arrival, and the failure is seconds later.
        self._breaker = Breaker("the database", LEAVE_ALONE_SECONDS, clock)

    def find(self, key_id: str, now: datetime) -> StoredKey | None:
        """Find a key, or None if no such key exists; Retryable while the database is down and the key unknown."""
        found = self._known.find(key_id, partial(self._read, key_id), now)
        if found.value is None and found.away is not None:
            # The key may have been created since.
            raise found.away
        return found.value

    def _read(self, key_id: str) -> StoredKey | None:
        with self._breaker.asking():
            try:
                found = self._database.ask(_FIND, key_id)
            except DEFECTS as error:
                # For example, this release does not know the table yet: known keys must still work.
                raise Retryable(f"the key cannot be looked up: {error}") from error
        try:
            return None if found is None else msgspec.json.decode(found, type=StoredKey)
        except msgspec.DecodeError as error:
            raise Retryable(f"the key's row cannot be read: {error}") from error


def authenticate(request: Request, keys: KeyStore, site: Site, role: str) -> StoredKey:
    """Authenticate a request by its API key, or refuse it with the reason."""
    presented = parse_key(request.key, site.stage)
    try:
        stored = keys.find(presented.key_id, request.received_at)
    except Retryable as error:
        raise Refusal(429, "keys_unavailable", "The key cannot be checked right now; try again.") from error
    return open_with(presented, stored, role, site.region, request.received_at)
