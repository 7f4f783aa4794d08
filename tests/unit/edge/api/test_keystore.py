from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

import msgspec
import psycopg
import pytest

from sluice.core.api.keys import StoredKey
from sluice.core.errors import Retryable
from sluice.edge.api.keystore import LAST_KNOWN, LEAVE_ALONE_SECONDS, KeyStore
from sluice.edge.cache import Cache
from sluice.edge.database import DatabaseAwayError
from tests.support.played_cache import PlayedServer
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


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def cache() -> PlayedServer:
    return PlayedServer()


def store(database: Database, cache: PlayedServer) -> KeyStore:
    return KeyStore(
        cast("EdgeDatabase", database),
        Cache(cache.connect),
        memory_seconds=30,
        shared_seconds=240,
        clock=lambda: database.time,
    )


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.shows_fault(part="config", fault="empty, corrupt, older than the code")
def test_an_unreadable_copy_in_the_cache_is_not_believed(database: Database, cache: PlayedServer) -> None:
    cache.held["key:k1"] = b"{}"
    assert store(database, cache).find("k1", NOW) == KEY


def test_with_every_store_away_a_known_key_still_works_for_hours_and_an_unknown_one_does_not(
    database: Database, cache: PlayedServer
) -> None:
    keys = store(database, cache)
    keys.find("k1", NOW)
    database.away = cache.away = True
    assert keys.find("k1", after(3600)) == KEY
    with pytest.raises(Retryable):
        keys.find("other", NOW)
    with pytest.raises(Retryable):
        keys.find("k1", NOW + LAST_KNOWN)


def test_an_unknown_key_is_remembered_as_unknown_for_a_moment_only(database: Database, cache: PlayedServer) -> None:
    keys = store(database, cache)
    assert keys.find("k2", NOW) is None
    assert keys.find("k2", after(1)) is None
    assert database.asked == 1
    database.rows["k2"] = msgspec.structs.replace(KEY, key_id="k2")
    assert keys.find("k2", after(31)) is not None


def test_a_database_that_just_failed_is_left_alone_for_a_moment(database: Database, cache: PlayedServer) -> None:
    keys = store(database, cache)
    database.away = True
    for key_id in ("k1", "k2", "k3"):
        with pytest.raises(Retryable):
            keys.find(key_id, NOW)
    assert database.asked == 1
    database.away = False
    database.time += LEAVE_ALONE_SECONDS
    assert keys.find("k1", NOW) == KEY


def test_a_revoked_key_is_believed_no_longer_than_both_copies_together(database: Database, cache: PlayedServer) -> None:
    store(database, cache).find("k1", NOW)
    database.rows["k1"] = msgspec.structs.replace(KEY, revoked_at=NOW)
    late = store(database, cache)
    assert late.find("k1", after(239)) == KEY
    assert late.find("k1", after(239 + 29)) == KEY
    changed = late.find("k1", after(239 + 30))
    assert changed is not None
    assert changed.revoked_at == NOW


def test_a_question_that_the_database_does_not_understand_leaves_known_keys_working(cache: PlayedServer) -> None:
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
def test_a_row_that_cannot_be_read_is_for_later_and_never_a_crash(cache: PlayedServer) -> None:
    class Odd(Database):
        def ask(self, _sql: str, _key_id: str) -> bytes | None:
            return b'{"key_id": "k1", "events_per_second": "Infinity"}'

    with pytest.raises(Retryable, match="cannot be read"):
        store(Odd(), cache).find("k1", NOW)


def test_a_key_that_was_unknown_may_have_been_made_since_the_database_went_away(
    database: Database, cache: PlayedServer
) -> None:
    keys = store(database, cache)
    assert keys.find("k2", NOW) is None
    database.away = True
    with pytest.raises(Retryable):
        keys.find("k2", after(31))
