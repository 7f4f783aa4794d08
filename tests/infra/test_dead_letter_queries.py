"""The query for what went wrong, run unchanged on files as deadletter writes them."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from infra.stores.catalog import DEAD_LETTER_COLUMNS, SQL

DUCKDB_TYPES = {"string": "VARCHAR", "int": "INTEGER", "bigint": "BIGINT", "timestamp": "TIMESTAMP"}
QUERY = (SQL / "dead_letters_by_reason.sql").read_text()
Letter = dict[str, Any]


def _letter(letter_id: str, failed_at: str = "2026-03-01 12:00:00.000", **changed: Any) -> Letter:
    letter: Letter = {
        "version": 1,
        "letter_id": letter_id,
        "reason": "malformed_json",
        "detail": f"detail of {letter_id}",
        "event": "{",
        "event_size": 1,
        "consumer": "ingest",
        "attempts": 1,
        "failed_at": failed_at,
    }
    return letter | changed


class Bucket:
    """Objects as deadletter puts them, and the table over them."""

    def __init__(self, root: Path) -> None:
        self._root = root / "dead_letters"
        self._offset = 0

    def put(self, *letters: Letter) -> None:
        """Put one object with letters of one day."""
        day = letters[0]["failed_at"][:10]
        name = f"region=us-east-1/dt={day}/00000-{self._offset:020d}.json.gz"
        self._offset += len(letters)
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress("".join(json.dumps(letter) + "\n" for letter in letters).encode()))

    def table(self) -> str:
        """Return the table with the catalog's columns, as a relation."""
        columns = ", ".join(f"{name}: '{DUCKDB_TYPES[kind]}'" for name, kind in DEAD_LETTER_COLUMNS.items())
        return (
            f"read_json('{self._root}/*/*/*.json.gz', format = 'newline_delimited', columns = {{{columns}}},"
            " hive_partitioning = true, hive_types_autocast = false)"
        )


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    """An empty bucket."""
    return Bucket(tmp_path)


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database to ask."""
    connection = duckdb.connect()
    yield connection
    connection.close()


def _asked(database: duckdb.DuckDBPyConnection, bucket: Bucket, start: str, end: str) -> list[Letter]:
    query = QUERY.replace("FROM dead_letters", f"FROM {bucket.table()}")
    found = database.execute(query, [start, end, start, end])
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


DAY = ("2026-03-01", "2026-03-02")


def test_letters_are_counted_by_reason_and_consumer_the_most_frequent_first(
    database: duckdb.DuckDBPyConnection, bucket: Bucket
) -> None:
    bucket.put(
        _letter("a", reason="poison_record", consumer="archive"),
        _letter("b"),
        _letter("c"),
        _letter("d", reason="poison_record", consumer="aggregate"),
    )
    found = _asked(database, bucket, *DAY)
    assert [(row["reason"], row["consumer"], row["letters"]) for row in found] == [
        ("malformed_json", "ingest", 2),
        ("poison_record", "aggregate", 1),
        ("poison_record", "archive", 1),
    ]


def test_a_letter_is_counted_once_however_often_it_was_sent_or_written(
    database: duckdb.DuckDBPyConnection, bucket: Bucket
) -> None:
    bucket.put(_letter("a"), _letter("b"))
    bucket.put(_letter("b"), _letter("a", "2026-03-01 13:00:00.000"))
    (row,) = _asked(database, bucket, *DAY)
    assert row["letters"] == 2


def test_it_says_when_the_first_and_the_last_came_and_shows_the_newest_detail(
    database: duckdb.DuckDBPyConnection, bucket: Bucket
) -> None:
    bucket.put(
        _letter("a", "2026-03-01 12:00:00.250"),
        _letter("b", "2026-03-01 14:00:00.500"),
        _letter("c", "2026-03-01 13:00:00.000"),
    )
    (row,) = _asked(database, bucket, *DAY)
    assert str(row["first_failed_at"]) == "2026-03-01 12:00:00.250000"
    assert str(row["last_failed_at"]) == "2026-03-01 14:00:00.500000"
    assert row["example"] == "detail of b"


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:01Z", 1),
        ("2026-03-01T12:00:00.000Z", "2026-03-01T12:00:00.001Z", 1),
        ("2026-03-01 12:00:00", "2026-03-01 12:00:01", 1),
        ("2026-03-01", "2026-03-02", 1),
        ("2026-03-01T11:00:00Z", "2026-03-01T12:00:00Z", 0),
    ],
)
def test_moments_may_be_written_in_the_usual_ways_and_the_end_is_not_included(
    database: duckdb.DuckDBPyConnection, bucket: Bucket, start: str, end: str, found: int
) -> None:
    bucket.put(_letter("a"))
    assert len(_asked(database, bucket, start, end)) == found


def test_only_files_of_the_days_asked_for_are_read(database: duckdb.DuckDBPyConnection, bucket: Bucket) -> None:
    for day in range(1, 10):
        bucket.put(_letter(f"letter-{day}", f"2026-03-{day:02} 12:00:00.000"))
    unread = bucket.table()
    query = QUERY.replace("FROM dead_letters", f"FROM {unread}")
    asked = ["2026-03-04T06:00:00Z", "2026-03-05T18:00:00Z"] * 2
    plan = "\n".join(text for _, text in database.execute(f"EXPLAIN {query}", asked).fetchall())
    assert "Scanning Files: 2/9" in plan
    (row,) = database.execute(query, asked).fetchall()
    assert row[2] == 2
