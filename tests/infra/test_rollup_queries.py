"""Analysts' queries for older rollups, run unchanged on files as tier writes and lays them out."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from infra.stores.catalog import SQL
from sluice.core.rollup_archive.files import StoreSpan, TieredResolution, name_object
from sluice.edge.rollup_archive.files import write_files
from sluice.edge.rollup_archive.tables import SCHEMA

QUERY = (SQL / "rollups_between.sql").read_text()
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)


class Files:
    """A folder in place of the bucket."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, resolution: TieredResolution, day: datetime, *rows: dict[str, Any]) -> None:
        """Write one file of a day."""
        (part,) = self._parts([self._row(day, **row) for row in rows])
        path = self._root / name_object(StoreSpan(resolution, day, day + timedelta(days=1)), 0, part.digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(part.data)

    def table(self) -> str:
        """Return the table as a relation."""
        files = f"{self._root}/rollups/*/*/*.parquet"
        return f"read_parquet('{files}', hive_partitioning = true, hive_types_autocast = false) AS rollups"

    def ask(self, *parameters: str) -> list[tuple[Any, ...]]:
        """Ask the named query."""
        return duckdb.execute(QUERY.replace("FROM rollups", f"FROM {self.table()}"), list(parameters)).fetchall()

    @staticmethod
    def _parts(rows: list[dict[str, Any]]) -> list[Any]:
        return list(write_files([pa.Table.from_pylist(rows, SCHEMA)]))

    @staticmethod
    def _row(day: datetime, **changed: Any) -> dict[str, Any]:
        numbers = dict.fromkeys(("avg", "min", "max", "p50", "p95", "sum", "m2"), 1.5)
        row = {"fleet_id": "acme", "device_id": "press-1", "metric": "cpu_temp", "unit": "C", "count": 1}
        row |= {"window_start": day.replace(tzinfo=None), "bins": [3], "bin_counts": [1]} | numbers
        return row | changed


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_one_metric_of_one_fleet_comes_in_the_order_of_time_with_the_fleets_own_rows(files: Files) -> None:
    noon = MIDNIGHT.replace(hour=12, tzinfo=None)
    files.write(
        "1h", MIDNIGHT, {"device_id": None, "window_start": noon}, {"fleet_id": "other"}, {"metric": "other"}, {}
    )
    found = files.ask("acme", "cpu_temp", "1h", *("2026-03-01", "2026-03-02") * 2)
    assert [row[:2] for row in found] == [(MIDNIGHT.replace(tzinfo=None), "press-1"), (noon, None)]
    assert found[0][2:] == ("C", 1, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5)


def test_minutes_and_hours_are_never_mixed(files: Files) -> None:
    files.write("1h", MIDNIGHT, {"count": 60})
    files.write("1m", MIDNIGHT, {})
    between = ("2026-03-01T00:00:00Z", "2026-03-01T00:00:01Z") * 2
    assert [row[3] for row in files.ask("acme", "cpu_temp", "1h", *between)] == [60]
    assert [row[3] for row in files.ask("acme", "cpu_temp", "1m", *between)] == [1]


def test_the_end_is_not_included(files: Files) -> None:
    files.write("1m", MIDNIGHT, {})
    assert files.ask("acme", "cpu_temp", "1m", *("2026-02-28", "2026-03-01") * 2) == []


def test_only_the_files_of_the_days_asked_for_are_read(files: Files) -> None:
    for day in range(20):
        files.write("1m", MIDNIGHT + timedelta(days=day), {})
    files.write("1h", MIDNIGHT + timedelta(days=4), {})
    query = QUERY.replace("FROM rollups", f"FROM {files.table()}")
    asked = ["acme", "cpu_temp", "1m", *("2026-03-04", "2026-03-05") * 2]
    plan = "\n".join(text for _, text in duckdb.execute(f"EXPLAIN {query}", asked).fetchall())
    assert "Scanning Files: 2/21" in plan
