from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from redis.exceptions import ConnectionError as CacheAwayError

from sluice.core.errors import Retryable
from sluice.core.keys import StoredKey
from sluice.edge.keystore import LAST_KNOWN, KeyStore
from tests.samples import NOW

KEY = StoredKey("k1", "demo", "device", "0" * 64)


class Database:
    """A table of keys that can be taken away."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[Any, ...]] = {"k1": ("k1", "demo", "device", "0" * 64, None, None)}
        self.away = False
        self.asked = 0

    def connect(self) -> Any:
        if self.away:
            raise psycopg.OperationalError("connection refused")
        return self

    def execute(self, _sql: str, parameters: tuple[str]) -> "Database":
        self.asked += 1
        if self.away:
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        self.found = self.rows.get(parameters[0])
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        return self.found

    def close(self) -> None:
        """Nothing to let go of."""


class Cache:
    """A cache that can be taken away; its clock is moved by dropping what it holds."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.away = False

    def connect(self) -> Any:
        return self

    def get(self, name: str) -> bytes | None:
        if self.away:
            raise CacheAwayError
        return self.held.get(name)

    def set(self, name: str, value: bytes, ex: int) -> None:
        assert ex == 240
        if self.away:
            raise CacheAwayError
        self.held[name] = value


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def cache() -> Cache:
    return Cache()


def store(database: Database, cache: Cache) -> KeyStore:
    return KeyStore(database.connect, cache.connect, timedelta(seconds=30), 240)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_the_database_is_asked_once_and_the_copies_answer_after_that(database: Database, cache: Cache) -> None:
    keys = store(database, cache)
    assert [keys.find("k1", after(seconds)) for seconds in (0, 29, 31)] == [KEY, KEY, KEY]
    assert store(database, cache).find("k1", NOW) == KEY
    assert database.asked == 1


def test_a_change_is_seen_once_both_copies_have_run_out(database: Database, cache: Cache) -> None:
    keys = store(database, cache)
    keys.find("k1", NOW)
    database.rows["k1"] = ("k1", "demo", "device", "0" * 64, None, NOW)
    cache.held.clear()
    assert keys.find("k1", after(29)) == KEY
    changed = keys.find("k1", after(31))
    assert changed is not None
    assert changed.revoked_at == NOW


def test_without_the_cache_the_database_answers(database: Database, cache: Cache) -> None:
    cache.away = True
    assert store(database, cache).find("k1", NOW) == KEY


def test_an_unreadable_copy_in_the_cache_is_not_believed(database: Database, cache: Cache) -> None:
    cache.held["key:k1"] = b"{}"
    assert store(database, cache).find("k1", NOW) == KEY


def test_with_every_store_away_a_known_key_still_works_for_hours_and_an_unknown_one_does_not(
    database: Database, cache: Cache
) -> None:
    keys = store(database, cache)
    keys.find("k1", NOW)
    database.away = cache.away = True
    assert keys.find("k1", after(3600)) == KEY
    with pytest.raises(Retryable):
        keys.find("other", NOW)
    with pytest.raises(Retryable):
        keys.find("k1", NOW + LAST_KNOWN)


def test_an_unknown_key_is_remembered_as_unknown_for_a_moment_only(database: Database, cache: Cache) -> None:
    keys = store(database, cache)
    assert keys.find("k2", NOW) is None
    assert keys.find("k2", after(1)) is None
    assert database.asked == 1
    database.rows["k2"] = ("k2", "demo", "device", "0" * 64, None, None)
    assert keys.find("k2", after(31)) is not None
