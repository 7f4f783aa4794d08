from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import msgspec
import psycopg
import pytest
from redis.exceptions import ConnectionError as CacheConnectionError

from sluice.core.api.keys import StoredKey
from sluice.core.errors import Retryable
from sluice.edge.api.keystore import LAST_KNOWN, LEAVE_ALONE_SECONDS, KeyStore
from sluice.edge.cache import Cache
from sluice.edge.database import DatabaseAwayError
from tests.support.samples import NOW

if TYPE_CHECKING:
    from sluice.edge.database import Database as EdgeDatabase

KEY = StoredKey("k1", "demo", "device", "0" * 64, 100.0, 10.0)


class Database:
    """A table of keys that can be taken away."""

    def __init__(self) -> None:
        self.rows: dict[str, StoredKey] = {"k1": KEY}
        self.away = False
        self.asked = 0
        self.time = 0.0

    def ask(self, _sql: str, key_id: str) -> bytes | None:
        self.asked += 1
        if self.away:
            self.time += 3  # it takes as long to find out
            raise DatabaseAwayError("connection refused")
        found = self.rows.get(key_id)
        return None if found is None else msgspec.json.encode(found)


class Server:
    """A cache server that can be taken away; its clock is moved by dropping what it holds."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.away = False

    def connect(self) -> Any:
        return self

    def get(self, name: str) -> bytes | None:
        if self.away:
            raise CacheConnectionError
        return self.held.get(name)

    def set(self, name: str, value: bytes, ex: int) -> None:
        assert ex == LAST_KNOWN.total_seconds()
        if self.away:
            raise CacheConnectionError
        self.held[name] = value


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def cache() -> Server:
    return Server()


def store(database: Database, cache: Server) -> KeyStore:
    return KeyStore(
        cast("EdgeDatabase", database),
        Cache(cache.connect),
        timedelta(seconds=30),
        timedelta(seconds=240),
        lambda: database.time,
    )


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_the_database_is_asked_once_and_the_copies_answer_after_that(database: Database, cache: Server) -> None:
    keys = store(database, cache)
    assert [keys.find("k1", after(seconds)) for seconds in (0, 29, 31)] == [KEY, KEY, KEY]
    assert store(database, cache).find("k1", NOW) == KEY
    assert database.asked == 1


def test_a_change_is_seen_once_both_copies_have_run_out(database: Database, cache: Server) -> None:
    keys = store(database, cache)
    keys.find("k1", NOW)
    database.rows["k1"] = msgspec.structs.replace(KEY, revoked_at=NOW)
    cache.held.clear()
    assert keys.find("k1", after(29)) == KEY
    changed = keys.find("k1", after(31))
    assert changed is not None
    assert changed.revoked_at == NOW


def test_without_the_cache_the_database_answers(database: Database, cache: Server) -> None:
    cache.away = True
    assert store(database, cache).find("k1", NOW) == KEY


@pytest.mark.shows_fault(part="config", fault="empty, corrupt, older than the code")
def test_an_unreadable_copy_in_the_cache_is_not_believed(database: Database, cache: Server) -> None:
    cache.held["key:k1"] = b"{}"
    assert store(database, cache).find("k1", NOW) == KEY


def test_with_every_store_away_a_known_key_still_works_for_hours_and_an_unknown_one_does_not(
    database: Database, cache: Server
) -> None:
    keys = store(database, cache)
    keys.find("k1", NOW)
    database.away = cache.away = True
    assert keys.find("k1", after(3600)) == KEY
    with pytest.raises(Retryable):
        keys.find("other", NOW)
    with pytest.raises(Retryable):
        keys.find("k1", NOW + LAST_KNOWN)


def test_an_unknown_key_is_remembered_as_unknown_for_a_moment_only(database: Database, cache: Server) -> None:
    keys = store(database, cache)
    assert keys.find("k2", NOW) is None
    assert keys.find("k2", after(1)) is None
    assert database.asked == 1
    database.rows["k2"] = msgspec.structs.replace(KEY, key_id="k2")
    assert keys.find("k2", after(31)) is not None


def test_a_database_that_just_failed_is_left_alone_for_a_moment(database: Database, cache: Server) -> None:
    keys = store(database, cache)
    database.away = True
    for key_id in ("k1", "k2", "k3"):
        with pytest.raises(Retryable):
            keys.find(key_id, NOW)
    assert database.asked == 1
    database.away = False
    database.time += LEAVE_ALONE_SECONDS
    assert keys.find("k1", NOW) == KEY


def test_a_shared_copy_is_believed_for_its_time_and_serves_new_processes_while_the_database_is_away(
    database: Database, cache: Server
) -> None:
    store(database, cache).find("k1", NOW)
    database.rows["k1"] = msgspec.structs.replace(KEY, revoked_at=NOW)
    assert store(database, cache).find("k1", after(239)) == KEY
    database.away = True
    assert store(database, cache).find("k1", after(3600)) == KEY
    database.away = False
    changed = store(database, cache).find("k1", after(240))
    assert changed is not None
    assert changed.revoked_at == NOW


def test_a_revoked_key_is_believed_no_longer_than_both_copies_together(database: Database, cache: Server) -> None:
    store(database, cache).find("k1", NOW)
    database.rows["k1"] = msgspec.structs.replace(KEY, revoked_at=NOW)
    late = store(database, cache)
    assert late.find("k1", after(239)) == KEY
    assert late.find("k1", after(239 + 29)) == KEY
    changed = late.find("k1", after(239 + 30))
    assert changed is not None
    assert changed.revoked_at == NOW


def test_a_question_that_the_database_does_not_understand_leaves_known_keys_working(cache: Server) -> None:
    class Strange(Database):
        def ask(self, _sql: str, key_id: str) -> bytes | None:
            if self.away:
                raise psycopg.errors.UndefinedColumn("no such column")
            return super().ask(_sql, key_id)

    database = Strange()
    keys = store(database, cache)
    keys.find("k1", NOW)
    database.away = True
    assert keys.find("k1", after(3600)) == KEY
    with pytest.raises(Retryable):
        keys.find("k2", NOW)


@pytest.mark.shows_fault(part="config", fault="empty, corrupt, older than the code")
def test_a_row_that_cannot_be_read_is_for_later_and_never_a_crash(cache: Server) -> None:
    class Odd(Database):
        def ask(self, _sql: str, _key_id: str) -> bytes | None:
            return b'{"key_id": "k1", "events_per_second": "Infinity"}'

    with pytest.raises(Retryable, match="cannot be read"):
        store(Odd(), cache).find("k1", NOW)
