"""The SQL analysts use, run unchanged on files laid out as Firehose lays them out."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from infra.stores.catalog import COLUMNS, DEAD_LETTER_COLUMNS, PARTITIONS, SQL
from infra.stores.queries import NAMED_QUERIES
from local.catalog import VIEWS

DUCKDB_TYPES = {
    "string": "VARCHAR",
    "int": "INTEGER",
    "bigint": "BIGINT",
    "timestamp": "TIMESTAMP",
    "array<string>": "VARCHAR[]",
    "map<string,double>": "MAP(VARCHAR, DOUBLE)",
}
NOON = datetime(2026, 3, 1, 12)  # noqa: DTZ001 - Athena's timestamps carry no zone; ours are UTC
each_named_query = pytest.mark.parametrize(
    ("query", "what"),
    [("device_between", ("acme", "press-1")), ("metric_between", ("cpu_temp",)), ("type_between", ("telemetry",))],
)
parameters_before_the_range = {
    "device_between": 2,
    "metric_between": 1,
    "type_between": 1,
    "dead_letters_by_reason": 0,
    "rollups_between": 3,
    "gaps_between": 0,
}
by_id = {"event_by_id", "dead_letters_by_id"}
DAY = ("2026-03-01", "2026-03-02")
LEFT_OUT = ("event_date", "flags", "metrics", "kafka_topic")
Row = dict[str, Any]


def _row(offset: int, **changed: Any) -> Row:
    row: Row = {
        "fleet_id": "acme",
        "device_id": "press-1",
        "event_id": f"e{offset}",
        "contract": "telemetry",
        "schema_version": 1,
        "firmware": "1.0.0",
        "event_type": "telemetry",
        "event_time": NOON,
        "event_date": "2026-03-01",
        "received_at": NOON,
        "flags": [],
        "metrics": {"cpu_temp": 20.0 + offset},
        "event": json.dumps({"offset": offset, "metrics": {"cpu_temp": 20 + offset}}),
        "correlation_id": f"c{offset}",
        "kafka_topic": "raw-events",
        "kafka_partition": 0,
        "kafka_offset": offset,
        "region": "us-east-1",
        "dt": "2026-03-01",
    }
    return row | changed


def _lean(row: Row) -> Row:
    """Leave out of a row what follows from the rest of it, as archive does."""
    kept = () if row["contract"] != "reading" else ("metrics",)
    return row | {name: None for name in LEFT_OUT if name not in kept}


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty table of the catalog's columns, with the views over it."""
    connection = duckdb.connect()
    columns = ", ".join(f"{name} {DUCKDB_TYPES[kind]}" for name, kind in (COLUMNS | PARTITIONS).items())
    connection.execute(f"CREATE TABLE raw_events ({columns})")
    for view in VIEWS:
        connection.execute(f"CREATE VIEW {view} AS {(SQL / f'{view}.sql').read_text()}")
    yield connection
    connection.close()


def _store(database: duckdb.DuckDBPyConnection, *rows: Row) -> None:
    for row in rows:
        marks = ", ".join("?" for _ in row)
        database.execute(f"INSERT INTO raw_events VALUES ({marks})", list(row.values()))


def _asked(database: duckdb.DuckDBPyConnection, query: str, *what: str, between: tuple[str, str]) -> list[Row]:
    found = database.execute((SQL / f"{query}.sql").read_text(), [*what, *between, *between])
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _offsets(rows: list[Row]) -> list[int]:
    return [row["kafka_offset"] for row in rows]


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_has_the_columns_of_the_table_in_their_order(database: duckdb.DuckDBPyConnection, view: str) -> None:
    described = database.execute(f"SELECT * FROM {view}").description or ()
    assert [column[0] for column in described] == [*COLUMNS, *PARTITIONS]


def test_the_view_shows_the_first_copy_of_every_event_of_a_day(database: duckdb.DuckDBPyConnection) -> None:
    later = datetime(2026, 3, 1, 12, 5)  # noqa: DTZ001 - as above
    _store(
        database,
        _row(7, event_id="a", received_at=later),
        _row(3, event_id="a"),
        _row(4, event_id="a", kafka_partition=1),
        _row(5, event_id="a"),
        _row(6, event_id="a", device_id="press-2"),
        _row(8, event_id="a", fleet_id="other"),
    )
    assert sorted(_offsets(_asked_view(database))) == [3, 6, 8]


def _asked_view(database: duckdb.DuckDBPyConnection) -> list[Row]:
    return [{"kafka_offset": offset} for (offset,) in database.execute("SELECT kafka_offset FROM events").fetchall()]


def _move_to_files(database: duckdb.DuckDBPyConnection, raw: Path) -> None:
    """Put the table's rows where Firehose would, and read them from there."""
    database.execute(f"COPY raw_events TO '{raw}' (FORMAT parquet, PARTITION_BY (region, dt))")
    files = f"read_parquet('{raw}/*/*/*.parquet', hive_partitioning = true, hive_types_autocast = false)"
    database.execute("DROP TABLE raw_events")
    database.execute(f"CREATE VIEW raw_events AS SELECT * FROM {files}")


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_reads_only_the_files_of_the_days_asked_for(
    database: duckdb.DuckDBPyConnection, tmp_path: Path, view: str
) -> None:
    _store(database, *(_lean(_row(day, dt=f"2026-03-{day:02}")) for day in range(1, 10)))
    _move_to_files(database, tmp_path / "raw")
    asked = f"SELECT kafka_offset, event_date FROM {view} WHERE dt = '2026-03-04' AND region = 'us-east-1'"
    assert database.execute(asked).fetchall() == [(4, "2026-03-01")]
    assert "Scanning Files: 1/9" in _plan(database, asked)


@each_named_query
def test_named_queries_read_only_the_files_of_the_padded_range(
    database: duckdb.DuckDBPyConnection, tmp_path: Path, query: str, what: tuple[str, ...]
) -> None:
    _store(database, *(_row(day, dt=f"2026-03-{day:02}") for day in range(1, 29)))
    _move_to_files(database, tmp_path / "raw")
    asked = (SQL / f"{query}.sql").read_text()
    between = ("2026-03-04", "2026-03-05")
    # A day before, the two days asked for, and seven days after.
    assert "Scanning Files: 10/28" in _plan(database, asked, *what, *between, *between)


@pytest.mark.parametrize("query", NAMED_QUERIES.keys() - by_id)
def test_named_queries_say_which_parameters_they_take(query: str) -> None:
    sql = (SQL / f"{query}.sql").read_text()
    (said,) = [line for line in sql.splitlines() if line.startswith("-- Parameters: ")]
    named = said.removeprefix("-- Parameters: ").removesuffix(".").split(", ")
    statement = "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--"))
    assert named[parameters_before_the_range[query] :] == ["from", "to", "from", "to"]
    assert len(named) == statement.count("?")


def _plan(database: duckdb.DuckDBPyConnection, query: str, *parameters: str) -> str:
    return "\n".join(text for _, text in database.execute(f"EXPLAIN {query}", list(parameters)).fetchall())


@each_named_query
def test_named_queries_count_an_event_once_on_any_day_its_copies_arrived(
    database: duckdb.DuckDBPyConnection, query: str, what: tuple[str, ...]
) -> None:
    next_day = datetime(2026, 3, 2, 0, 1)  # noqa: DTZ001 - as above
    _store(
        database,
        _row(1, event_id="a"),
        _row(2, event_id="a", received_at=next_day, dt="2026-03-02"),
        _row(3, event_id="b", received_at=next_day, dt="2026-03-02"),
    )
    found = _asked(database, query, *what, between=("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"))
    assert sorted(row["event_id"] for row in found) == ["a", "b"]
    assert len(_asked_view(database)) == 3


@each_named_query
def test_a_second_event_under_a_used_id_is_not_found_even_where_its_time_alone_would_fit(
    database: duckdb.DuckDBPyConnection, query: str, what: tuple[str, ...]
) -> None:
    earlier = datetime(2026, 3, 1, 9)  # noqa: DTZ001 - as above
    later = datetime(2026, 3, 1, 12, 5)  # noqa: DTZ001 - as above
    _store(
        database,
        _row(9, event_id="a", event_time=earlier),
        _row(2, event_id="a", received_at=later, kafka_partition=1),
    )
    assert _asked(database, query, *what, between=("2026-03-01 11:00:00", "2026-03-01 13:00:00")) == []
    assert len(_asked(database, query, *what, between=("2026-03-01 08:00:00", "2026-03-01 10:00:00"))) == 1


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
    database: duckdb.DuckDBPyConnection, start: str, end: str, found: int
) -> None:
    _store(database, _row(1))
    assert len(_asked(database, "device_between", "acme", "press-1", between=(start, end))) == found


def test_device_between_finds_one_device_of_one_fleet_in_the_order_of_its_clock(
    database: duckdb.DuckDBPyConnection,
) -> None:
    earlier = datetime(2026, 3, 1, 9)  # noqa: DTZ001 - as above
    _store(
        database,
        _row(1),
        _row(2, event_time=earlier),
        _row(3, device_id="press-2"),
        _row(4, fleet_id="other"),
    )
    assert _offsets(_asked(database, "device_between", "acme", "press-1", between=DAY)) == [2, 1]


def test_metric_between_finds_the_values_of_events_that_have_the_metric(database: duckdb.DuckDBPyConnection) -> None:
    _store(
        database,
        _row(1),
        _row(2, metrics={"humidity": 40.0}),
        _row(3, metrics={}),
        _row(4, metrics=None, event='{"metrics":{"humidity":40}}'),
        _row(5, metrics=None, contract="activity"),
    )
    found = _asked(database, "metric_between", "cpu_temp", between=DAY)
    assert [(row["event_id"], row["metric"], row["value"]) for row in found] == [("e1", "cpu_temp", 21.0)]


def test_type_between_finds_events_of_one_type(database: duckdb.DuckDBPyConnection) -> None:
    _store(database, _row(1), _row(2, event_type="door_opened"))
    assert _offsets(_asked(database, "type_between", "door_opened", between=DAY)) == [2]


def test_rows_of_an_earlier_release_and_leaner_ones_give_every_query_the_same_answers(
    database: duckdb.DuckDBPyConnection,
) -> None:
    moved = {"contract": "reading", "metrics": {"cpu_temp": 3.5}, "event": '{"value":3.5,"metrics":"none"}'}
    said = {"contract": "activity", "metrics": {}, "event": '{"metrics":{"cpu_temp":{"deep":1}}}'}
    rows = [
        _row(1),
        _row(2),
        _row(3, **moved),
        _row(4, **moved),
        _row(5, **said),
        _row(6, **said),
        _row(8, event_id="e1", received_at=datetime(2026, 3, 1, 12, 5)),  # noqa: DTZ001 - as above
        _row(9, event_id="e2", received_at=datetime(2026, 3, 1, 12, 5)),  # noqa: DTZ001 - as above
    ]
    leaner = [_lean(row) for row in rows]
    halves = [old if row["kafka_offset"] % 2 else new for row, old, new in zip(rows, rows, leaner, strict=True)]
    columns = ", ".join(f"{name} {DUCKDB_TYPES[kind]}" for name, kind in (DEAD_LETTER_COLUMNS | PARTITIONS).items())
    database.execute(f"CREATE TABLE dead_letters ({columns})")

    def answers(*stored: Row) -> list[list[Row]]:
        database.execute("DELETE FROM raw_events")
        _store(database, *stored)
        asked = {"device_between": ("acme", "press-1"), "metric_between": ("cpu_temp",), "gaps_between": ()}
        found = [
            _asked(database, query, *what, between=DAY)
            for query, what in (asked | {"type_between": ("telemetry",)}).items()
        ]
        views = [database.execute(f"SELECT * FROM {view} ORDER BY kafka_offset").fetchall() for view in VIEWS]
        return [*found, *([{"row": row} for row in rows] for rows in views)]

    before = answers(*rows)
    assert [len(found) for found in before] == [6, 4, 1, 6, 8, 6]
    assert answers(*halves) == answers(*leaner) == before


def test_every_query_file_is_a_view_or_a_named_query() -> None:
    assert {file.stem for file in SQL.glob("*.sql")} == {*VIEWS, *NAMED_QUERIES}


def test_a_gap_is_what_neither_a_row_nor_a_dead_letter_of_archive_has(database: duckdb.DuckDBPyConnection) -> None:
    names = ("kafka_topic", "kafka_partition", "kafka_offset", "received_at", "consumer", "dt")
    kinds = DEAD_LETTER_COLUMNS | PARTITIONS
    database.execute(
        f"CREATE TABLE dead_letters ({', '.join(f'{name} {DUCKDB_TYPES[kinds[name]]}' for name in names)})"
    )
    for offset, consumer in ((4, "archive"), (6, "aggregate")):
        letter = ("raw-events", 0, offset, NOON, consumer, "2026-03-01")
        database.execute("INSERT INTO dead_letters VALUES (?, ?, ?, ?, ?, ?)", letter)
    # Stored twice, on another day, on another partition: none of these is a gap.
    _store(
        database, *(_row(offset) for offset in (2, 3, 3, 5, 9)), _row(8, dt="2026-03-02"), _row(1, kafka_partition=1)
    )

    def gaps(first: str, last: str) -> list[tuple[int, int, int, int]]:
        names = ("kafka_partition", "first_missing", "last_missing", "missing")
        return [tuple(row[name] for name in names) for row in _asked(database, "gaps_between", between=(first, last))]

    assert gaps(*DAY) == [(0, 6, 7, 2)]
    # A neighbour that arrived outside the days looks like a gap, as the query itself says.
    assert gaps("2026-03-01", "2026-03-01") == [(0, 6, 8, 3)]
