"""The queries for where one event is, run unchanged over files as the pipeline lays them out."""

import gzip
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from infra.stores.catalog import COLUMNS, DEAD_LETTER_COLUMNS, SQL
from local.catalog import ARROW, read_table

EVENT, LETTERS = ((SQL / f"{name}.sql").read_text() for name in ("event_by_id", "dead_letters_by_id"))
NOON = datetime(2026, 3, 1, 12)  # noqa: DTZ001 - Athena's timestamps carry no zone; ours are UTC
ID = "4f6c1f52-8d3e-4b57-9a43-6c1f0f0f7d21"
Row = dict[str, Any]


class Lake:
    """Two tables over a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def store(self, *rows: Row, day: str = "2026-03-01", name: str = "a") -> str:
        """Store one file of events, and return where."""
        whole = [
            dict.fromkeys(COLUMNS)
            | {"fleet_id": "acme", "device_id": "press-1", "event_id": ID, "received_at": NOON, "flags": []}
            | {"kafka_topic": "raw-events", "kafka_partition": 0, "event": "{}"}
            | row
            for row in rows
        ]
        path = self._root / f"raw/region=us-east-1/dt={day}/{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        schema = pa.schema([(column, ARROW[kind]) for column, kind in COLUMNS.items()])
        pq.write_table(pa.Table.from_pylist(whole, schema), path)
        return f"s3://{path}"

    def bury(self, *letters: Row, day: str = "2026-03-01", name: str = "a") -> str:
        """Store one file of dead letters, and return where."""
        whole = [
            {"letter_id": "l", "fleet_id": "acme", "event_id": ID, "failed_at": f"{day} 12:00:00.000000"} | letter
            for letter in letters
        ]
        path = self._root / f"dead_letters/region=us-east-1/dt={day}/{name}.json.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress("".join(json.dumps(letter) + "\n" for letter in whole).encode()))
        return f"s3://{path}"

    def ask(self, sql: str, *parameters: str) -> list[Row]:
        """Ask a named query."""
        with duckdb.connect() as connection:
            for name, folder, columns, kind in (
                ("raw_events", "raw", COLUMNS, "parquet"),
                ("dead_letters", "dead_letters", DEAD_LETTER_COLUMNS, "json"),
            ):
                storage = {
                    "Location": f"s3://{self._root}/{folder}",
                    "Columns": [{"Name": column, "Type": of} for column, of in columns.items()],
                }
                keys = [{"Name": key, "Type": "string"} for key in ("region", "dt")]
                table = {
                    "StorageDescriptor": storage,
                    "PartitionKeys": keys,
                    "Parameters": {"classification": kind},
                }
                connection.register(name, read_table(table, fs.LocalFileSystem(), {}, with_path=True))
            found = connection.execute(sql, list(parameters))
            names = [column[0] for column in found.description or ()]
            rows: list[Any] = found.fetchall()
            return [dict(zip(names, row, strict=True)) for row in rows]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def by_id(
    event_id: str = ID, fleet: str = "", device: str = "", first: str = "2026-03-01", last: str = ""
) -> list[str]:
    return [event_id, fleet, fleet, device, device, first, last or first]


def test_every_copy_is_found_with_its_file_in_the_order_of_offsets(lake: Lake) -> None:
    first = lake.store({"kafka_offset": 7}, {"kafka_offset": 9, "event_id": "other"}, name="a")
    second = lake.store({"kafka_offset": 3}, name="b")
    found = lake.ask(EVENT, *by_id())
    assert [(row["kafka_offset"], row["file"]) for row in found] == [(3, second), (7, first)]


def test_copies_with_the_same_bytes_have_the_same_variant(lake: Lake) -> None:
    lake.store(
        {"kafka_offset": 1, "event": "b"},
        {"kafka_offset": 2, "event": "a"},
        {"kafka_offset": 3, "event": "b"},
        {"kafka_offset": 4, "event": "z", "device_id": "press-2"},
    )
    variants = {row["kafka_offset"]: row["variant"] for row in lake.ask(EVENT, *by_id())}
    assert variants[1] == variants[3] != variants[2]
    assert variants[4] == 1  # of another device: another event


def test_a_fleet_and_a_device_narrow_it_and_nothing_means_any(lake: Lake) -> None:
    lake.store(
        {"kafka_offset": 1},
        {"kafka_offset": 2, "device_id": "press-2"},
        {"kafka_offset": 3, "fleet_id": "other"},
    )
    lake.bury({"letter_id": "1"}, {"letter_id": "2", "fleet_id": "other"}, {"letter_id": "3", "device_id": "press-2"})

    def offsets(**narrowed: str) -> list[int]:
        return [row["kafka_offset"] for row in lake.ask(EVENT, *by_id(**narrowed))]

    assert offsets() == [1, 2, 3]
    assert offsets(fleet="acme") == [1, 2]
    assert offsets(fleet="acme", device="press-1") == [1]
    assert [row["letter_id"] for row in lake.ask(LETTERS, *by_id(fleet="acme"))] == ["1", "3"]
    assert [row["letter_id"] for row in lake.ask(LETTERS, *by_id(device="press-2"))] == ["3"]


def test_only_the_days_asked_for_are_looked_through(lake: Lake) -> None:
    for day in range(1, 5):
        lake.store({"kafka_offset": day}, day=f"2026-03-0{day}")
        lake.bury({"letter_id": str(day)}, day=f"2026-03-0{day}")
    days = by_id(first="2026-03-02", last="2026-03-03")
    assert [row["kafka_offset"] for row in lake.ask(EVENT, *days)] == [2, 3]
    assert [row["letter_id"] for row in lake.ask(LETTERS, *days)] == ["2", "3"]


def test_flags_are_listed_one_by_one(lake: Lake) -> None:
    lake.store({"kafka_offset": 1, "flags": ["late_arrival"]}, {"kafka_offset": 2, "flags": ["clock_ahead"]})
    told = [(row["clock_ahead"], row["late_arrival"]) for row in lake.ask(EVENT, *by_id())]
    assert told == [(False, True), (True, False)]


def test_rows_that_leave_out_flags_and_topic_are_told_as_those_that_have_them(lake: Lake) -> None:
    lake.store({"kafka_offset": 1, "flags": None, "kafka_topic": None}, {"kafka_offset": 2}, name="a")
    lake.store({"kafka_offset": 3, "flags": None, "kafka_topic": "replay-events"}, name="b")
    found = [(row["kafka_topic"], row["clock_ahead"], row["late_arrival"]) for row in lake.ask(EVENT, *by_id())]
    assert found == [("raw-events", False, False)] * 2 + [("replay-events", False, False)]


def test_letters_bear_the_id_as_it_was_sent(lake: Lake) -> None:
    file = lake.bury({"event_id": ID.upper(), "reason": "contract_violation"})
    (row,) = lake.ask(LETTERS, *by_id())
    assert (row["event_id"], row["reason"], row["file"]) == (ID.upper(), "contract_violation", file)


def test_what_looks_like_sql_is_an_id_like_any_other(lake: Lake) -> None:
    hostile = "' OR 1=1 --"
    lake.store({"kafka_offset": 1}, {"kafka_offset": 2, "event_id": hostile})
    assert [row["kafka_offset"] for row in lake.ask(EVENT, *by_id(hostile))] == [2]


def test_more_copies_than_are_returned_are_noticed(lake: Lake) -> None:
    lake.store(*({"kafka_offset": offset} for offset in range(150)))
    assert len(lake.ask(EVENT, *by_id())) == 101


@pytest.mark.parametrize("sql", [EVENT, LETTERS])
def test_they_say_which_parameters_they_take(sql: str) -> None:
    (said,) = [line for line in sql.splitlines() if line.startswith("-- Parameters: ")]
    named = said.removeprefix("-- Parameters: ").removesuffix(".").split(", ")
    assert named == ["event_id", "fleet_id", "fleet_id", "device_id", "device_id", "from", "to"]
    statement = "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--"))
    assert statement.count("?") == len(named)


def test_the_path_is_hidden_from_queries_that_do_not_name_it(lake: Lake) -> None:
    lake.store({"kafka_offset": 1})
    assert "$path" in lake.ask("SELECT * FROM raw_events")[0]  # this table was opened for a statement that names it
