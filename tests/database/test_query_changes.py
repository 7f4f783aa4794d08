"""The feed returns each change once, in any order of commits."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from random import Random
from typing import Any

import psycopg
import pytest

from sluice.core.query.questions import ChangePlace, Changes
from sluice.core.times import write_time
from tests.database.numbers import add_entity
from tests.support.readers import FLEET, Reader

Owner = psycopg.Connection[tuple[Any, ...]]
FEED = f"/v1/fleets/{FLEET}/changes"


@pytest.fixture
def owner(database: str) -> Iterator[Owner]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def reader(database: str) -> Iterator[Reader]:
    reader = Reader(database)
    yield reader
    reader.close()


def change(connection: Owner, minute: int, fleet: str = FLEET, entity: int | None = None) -> None:
    connection.execute(
        "INSERT INTO change (fleet_id, entity_key, resolution, window_start)"
        " VALUES (%s, %s, '1m', timestamptz '2026-11-20 00:00Z' + %s * interval '1 minute')",
        (fleet, entity, minute),
    )


def minute_of(item: dict[str, Any]) -> int:
    hour, minute = item["window_start"][11:16].split(":")
    return int(hour) * 60 + int(minute)


def test_without_a_cursor_the_feed_begins_now(owner: Owner, reader: Reader) -> None:
    change(owner, 1)
    begun = reader.get(FEED).body
    assert begun["items"] == []
    change(owner, 2)
    change(owner, 3, fleet="other")
    body = reader.get(f"{FEED}?cursor={begun['next_cursor']}").body
    assert [minute_of(item) for item in body["items"]] == [2]
    assert reader.get(f"{FEED}?cursor={body['next_cursor']}").body["items"] == []


def test_a_change_says_whose_window_it_is(owner: Owner, reader: Reader) -> None:
    device, fleet = add_entity(owner, FLEET, "press-1"), add_entity(owner, FLEET, None)
    cursor = reader.get(FEED).body["next_cursor"]
    for number, entity in enumerate((device, None, fleet)):
        change(owner, number, entity=entity)
    items = reader.get(f"{FEED}?cursor={cursor}").body["items"]
    assert [(item["of"], item["device_id"]) for item in items] == [
        ("device", "press-1"),
        ("devices", None),
        ("fleet", None),
    ]
    assert items[2]["window_start"] == "2026-11-20T00:02:00.000000Z"
    assert items[0]["changed_at"] > write_time(reader.now - timedelta(minutes=5))


def test_what_was_begun_before_and_is_committed_after_is_neither_missed_nor_returned_twice(
    database: str, reader: Reader, owner: Owner
) -> None:
    cursor = reader.get(FEED).body["next_cursor"]
    told: list[int] = []

    def follow() -> None:
        nonlocal cursor
        body = reader.get(f"{FEED}?cursor={cursor}").body
        told.extend(minute_of(item) for item in body["items"])
        cursor = body["next_cursor"]

    with psycopg.connect(database) as slow:
        change(slow, 1)
        change(owner, 2)
        follow()
        # Later than one that is still open: it waits, so that the feed stays in order.
        assert told == []
        slow.commit()
        follow()
        assert told == [1, 2]
        change(slow, 3)
        slow.rollback()
    change(owner, 4)
    follow()
    follow()
    assert told == [1, 2, 4]


def test_changes_of_many_writers_in_any_order_are_returned_once_each_in_pages_of_any_size(
    database: str, reader: Reader
) -> None:
    chance, told, written = Random(7), [], []
    cursor = reader.get(FEED).body["next_cursor"]
    with ExitStack() as stack:
        writers = [stack.enter_context(psycopg.connect(database)) for _ in range(5)]
        pending: dict[int, list[int]] = {number: [] for number in range(len(writers))}
        for minute in range(300):
            number = chance.randrange(len(writers))
            change(writers[number], minute)
            pending[number].append(minute)
            if chance.random() < 0.3:
                done = chance.randrange(len(writers))
                if chance.random() < 0.8:
                    writers[done].commit()
                    written += pending[done]
                else:
                    writers[done].rollback()
                pending[done] = []
            if chance.random() < 0.4:
                body = reader.get(f"{FEED}?cursor={cursor}&limit={chance.choice((1, 2, 7, 100))}").body
                told += [minute_of(item) for item in body["items"]]
                cursor = body["next_cursor"]
        for number, writer in enumerate(writers):
            writer.commit()
            written += pending[number]
    while items := (body := reader.get(f"{FEED}?cursor={cursor}&limit=9").body)["items"]:
        told += [minute_of(item) for item in items]
        cursor = body["next_cursor"]
    assert len(told) == len(set(told))
    assert sorted(told) == sorted(written)


def test_a_reader_that_was_away_for_longer_than_changes_are_kept_starts_over(reader: Reader) -> None:
    cursor = reader.get(FEED).body["next_cursor"]
    reader.now += timedelta(hours=71, seconds=2)
    got = reader.get(f"{FEED}?cursor={cursor}")
    assert (got.status, got.body["code"], got.body["parameter"]) == (410, "cursor_expired", "cursor")


def test_a_reader_who_keeps_asking_never_runs_out_of_time(owner: Owner, reader: Reader) -> None:
    cursor = reader.get(FEED).body["next_cursor"]
    for number in range(5):
        reader.now += timedelta(hours=50)
        change(owner, number)
        body = reader.get(f"{FEED}?cursor={cursor}").body
        assert [minute_of(item) for item in body["items"]] == [number]
        cursor = body["next_cursor"]


def test_a_place_in_another_database_than_this_one_is_no_place(reader: Reader) -> None:
    ahead = ChangePlace(2**40, 1, int(reader.now.timestamp()))
    cursor = Changes(FLEET, 1, None).goes_on(ahead)
    got = reader.get(f"{FEED}?cursor={cursor}")
    assert (got.status, got.body["code"]) == (410, "cursor_expired")
