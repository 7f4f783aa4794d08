"""The schema after all migrations: bins, the view of rollups, and the required rows."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.database.server import Databases

HOUR = datetime(2026, 11, 20, 12, tzinfo=UTC)
LARGEST = 1e15  # of a reading, either way from zero
STEPS = 2**20  # of a sensor's resolution, within which bins are as wide as it
LOGARITHMIC = 1e-3  # what a bin beyond them may be off, as a part of the reading
ROUNDING = 1 + 1e-9

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def shared(databases: Databases) -> Iterator[Connection]:
    """A connection to a database that no test here changes."""
    with databases.fresh() as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def middles(connection: Connection, readings: list[float], resolution: float | None) -> list[tuple[int, float]]:
    """The bin of each reading, and what stands in its middle."""
    rows = connection.execute(
        "SELECT bin, bin_middle(bin, %(resolution)s) FROM unnest(%(readings)s::float8[]) WITH ORDINALITY"
        " AS each (reading, place) CROSS JOIN LATERAL bin_of(reading, %(resolution)s) AS bin ORDER BY place",
        {"readings": readings, "resolution": resolution},
    ).fetchall()
    return [(int(str(row[0])), float(str(row[1]))) for row in rows]


@given(
    readings=st.lists(st.floats(-LARGEST, LARGEST), min_size=1, max_size=200),
    resolution=st.floats(1e-9, 1e9) | st.sampled_from([0.01, 0.1, 0.5, 1.0, 10.0]),
)
def test_a_bin_is_as_wide_as_the_sensor_resolves_or_a_thousandth_of_the_reading(
    shared: Connection, readings: list[float], resolution: float
) -> None:
    for reading, (bin_, middle) in zip(readings, middles(shared, readings, resolution), strict=True):
        assert abs(bin_) < 2**22
        if abs(reading) < STEPS * resolution:
            assert abs(middle - reading) <= resolution / 2 * ROUNDING
        else:
            assert abs(middle - reading) <= LOGARITHMIC * abs(reading)


@given(readings=st.lists(st.floats(-LARGEST, LARGEST), min_size=1, max_size=200))
def test_without_a_resolution_a_bin_is_a_thousandth_of_the_reading_and_dust_is_zero(
    shared: Connection, readings: list[float]
) -> None:
    for reading, (bin_, middle) in zip(readings, middles(shared, readings, None), strict=True):
        assert abs(bin_) < 2**22
        assert abs(middle - reading) <= max(LOGARITHMIC * abs(reading), 1e-12)


@pytest.mark.parametrize("resolution", [None, 1e-9, 0.1, 1e9])
def test_bins_stand_in_the_order_of_their_readings(shared: Connection, resolution: float | None) -> None:
    sizes = [0.0, 5e-324, 1e-300, 1e-12, 1e-9, 0.05, 0.1, 1.0, 99.9, 104_857.5, 104_857.6, 104_857.7, 1e9, 1e14, 1e15]
    readings = sorted({-size for size in sizes} | set(sizes))
    found = middles(shared, readings, resolution)
    assert found == sorted(found)
    assert all(math.isfinite(middle) for _, middle in found)


def test_the_view_shows_a_row_for_each_metric_of_devices_and_fleets(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO metric (name, unit) VALUES ('cpu_temp', 'degC'), ('humidity', '%RH')")
        connection.execute("INSERT INTO entity (fleet_id, device_id, shard) VALUES ('demo', 'a', 1), ('demo', NULL, 2)")
        for table in ("rollup_1m", "rollup_1h", "rollup_1d"):
            connection.execute(
                "SELECT ensure_partition('rollup_1m', %s), ensure_partition('rollup_1h', %s)", [HOUR] * 2
            )
            connection.execute(
                f"INSERT INTO {table} SELECT entity_key, %s, '{{1,2}}', '{{3,4}}', '{{20,50}}', '{{0,0}}',"
                " '{60,200}', '{19,49}', '{21,51}', '{20,50}', '{20.9,50.9}', '{}', '{}' FROM entity",
                (HOUR,),
            )
    with psycopg.connect(database, user="sluice_query") as reader:
        seen = reader.execute(
            "SELECT fleet_id, device_id, metric, unit, window_start, count, avg, min, max, p50, p95, sum FROM rollups"
            " WHERE resolution = '1h' ORDER BY device_id, metric"
        ).fetchall()
        resolutions = reader.execute("SELECT resolution, count(*) FROM rollups GROUP BY 1 ORDER BY 1").fetchall()
    numbers = {
        "cpu_temp": ("degC", HOUR, 3, 20, 19, 21, 20, 20.9, 60),
        "humidity": ("%RH", HOUR, 4, 50, 49, 51, 50, 50.9, 200),
    }
    assert seen == [("demo", device, metric, *rest) for device in ("a", None) for metric, rest in numbers.items()]
    assert resolutions == [("1d", 4), ("1h", 4), ("1m", 4)]


def test_a_resolution_is_read_from_its_own_table_and_no_other(database: str) -> None:
    with psycopg.connect(database) as connection:
        plan = connection.execute(
            "EXPLAIN (FORMAT TEXT) SELECT * FROM rollups WHERE fleet_id = 'demo' AND device_id = 'a' AND metric = 'x'"
            " AND resolution = '1h' AND window_start >= %s AND window_start < %s",
            (HOUR, HOUR.replace(hour=13)),
        ).fetchall()
    text = "\n".join(str(line[0]) for line in plan)
    assert "rollup_1m" not in text
    assert "rollup_1d" not in text


def test_a_fleet_has_one_row_and_so_has_a_device(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        for device in (None, "a"):
            connection.execute("INSERT INTO entity (fleet_id, device_id, shard) VALUES ('demo', %s, 0)", (device,))
            with pytest.raises(psycopg.errors.UniqueViolation):
                connection.execute("INSERT INTO entity (fleet_id, device_id, shard) VALUES ('demo', %s, 0)", (device,))


def test_every_shard_and_every_store_has_its_row(database: str) -> None:
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT array_agg(shard ORDER BY shard) FROM shard").fetchone() == (list(range(64)),)
        stores = connection.execute("SELECT store FROM horizon WHERE floor = '-infinity' ORDER BY 1").fetchall()
        assert stores == [("rollup_1h",), ("rollup_1m",), ("sample",)]
