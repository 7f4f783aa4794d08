"""`make bench`, fourth part: what rolling costs the database, and how large its rows are.

Rolls a minute of 50,000 devices, each with four metrics and a reading of each every ten seconds; and hours and days of
an eighth of them, eight shards of the 64. All by roll's own database code, on samples that are made up.
"""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from bench.filling import fill_entities, fill_samples, fill_windows, mark_window, roll_all, roll_wider
from bench.report import Report
from bench.stores import Connection, Stores, measure_size, running
from infra.profiles.baseline import BASELINE
from sluice.core.rollups.resolutions import RESOLUTIONS, WIDTHS, floor_to
from sluice.edge.database import Database
from sluice.edge.rollups import rolling
from sluice.edge.rollups.rolling import Rolling

FLEETS, DEVICES = 5, 10_000
ROUNDS = 3
SHARDS = BASELINE.roll.shards
"""So many at a time."""
SOME_SHARDS, ALL_SHARDS = 8, 64
NO_WAIT = timedelta(0)
LONGEST_SECONDS = 120
ACTIVE_HOURS = 14
MINUTE, HOUR, DAY = WIDTHS["1m"], WIDTHS["1h"], WIDTHS["1d"]


class Taken(msgspec.Struct):
    """Seconds of wall clock and of the server's CPU."""

    wall: float = float("inf")
    database: float = float("inf")

    def better(self, other: "Taken") -> "Taken":
        """Take the lower of each figure."""
        return Taken(min(self.wall, other.wall), min(self.database, other.database))


def main() -> None:
    """Fill, measure and print."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--small", action="store_true", help="a tenth of the devices, for a quick try")
    small: bool = arguments.parse_args().small
    devices = DEVICES // 10 if small else DEVICES
    report = Report("roll, small" if small else "roll", 18)
    hour = floor_to(datetime.now(UTC), HOUR) - HOUR
    with running() as stores, stores.connect() as connection:
        fill_entities(connection, [f"fleet-{number}" for number in range(FLEETS)], devices)
        minutes(report, stores, connection, hour)
        hours(report, stores, connection, hour)
        report_sizes(report, connection)
    report.end()


def minutes(report: Report, stores: Stores, connection: Connection, hour: datetime) -> None:
    """Roll minutes, by one roller and by two; and then one again, for a straggler."""
    first, second = (make_roller(stores) for _ in range(2))
    fill_samples(connection, hour, hour + (2 * ROUNDS + 1) * MINUTE)
    connection.execute("ANALYZE sample")
    roll_all(first, hour + MINUTE, SHARDS)  # connects
    count = number(connection, "SELECT count(*) FROM entity WHERE device_id IS NOT NULL")
    one, two = Taken(), Taken()
    for turn in range(ROUNDS):
        until = hour + (2 * turn + 2) * MINUTE
        one = one.better(measure(stores, count + FLEETS, partial(roll_all, first, until, SHARDS)))
        until += MINUTE
        both = (partial(roll_all, each, until, SHARDS) for each in (first, second))
        two = two.better(measure(stores, count + FLEETS, *both))
    report.table("seconds", ["wall", "of the database"])
    report_taken(report, f"a minute of {count:,} devices and their {FLEETS} fleets", one)
    report_taken(report, "  by two rollers", two)
    for label, of_fleet in (("one straggler: its device's minute", False), ("  its fleet's minute", True)):
        taken = Taken()
        for turn in range(ROUNDS):
            mark_straggler(connection, hour + turn * MINUTE, of_fleet=of_fleet)
            taken = taken.better(measure(stores, 1, partial(roll_all, first, until, SHARDS)))
        report_taken(report, label, taken)


def hours(report: Report, stores: Stores, connection: Connection, hour: datetime) -> None:
    """Roll an hour and a day of some shards' devices, and of the fleets; and each once more, for a straggler."""
    roller = make_roller(stores)
    some = number(connection, "SELECT count(*) FROM entity WHERE device_id IS NOT NULL AND shard < %s", SOME_SHARDS)
    rolled = (hour, hour + (2 * ROUNDS + 1) * MINUTE)
    fill_windows(connection, "1m", rolled, [(hour - HOUR, hour)], to_shards=SOME_SHARDS)
    connection.execute("ANALYZE rollup_1m")
    mark_window(connection, "1h", hour - HOUR, 0)
    fleets = measure(stores, FLEETS, partial(roll_wider, roller, "1h"))
    mark_window(connection, "1h", hour - HOUR, SOME_SHARDS)
    both = measure(stores, some + FLEETS, partial(roll_wider, roller, "1h"))
    report_wider(report, "an hour", fleets, both)
    again = Taken()
    for _ in range(ROUNDS):
        mark_one(connection, "1h", hour - HOUR)
        again = again.better(measure(stores, 2, partial(roll_wider, roller, "1h")))
    report_taken(report, "  a straggler's: its device's and its fleet's", again)
    day = floor_to(hour - DAY, DAY)
    active = [(day, day + ACTIVE_HOURS * HOUR)]
    fill_windows(connection, "1h", (hour - HOUR, hour), active, from_shards=SOME_SHARDS, to_shards=SOME_SHARDS)
    connection.execute("ANALYZE rollup_1h")
    mark_window(connection, "1d", day, 0)
    fleets = measure(stores, FLEETS, partial(roll_wider, roller, "1d"))
    mark_window(connection, "1d", day, SOME_SHARDS)
    both = measure(stores, some + FLEETS, partial(roll_wider, roller, "1d"))
    report_wider(report, f"a day of {ACTIVE_HOURS} hours", fleets, both)


def make_roller(stores: Stores) -> Rolling:
    """Make roll's side of the database, which waits for nothing."""
    login = stores.login("roll")
    store = Database(partial(rolling.connect, login, LONGEST_SECONDS), LONGEST_SECONDS)
    return Rolling(store, NO_WAIT, dict.fromkeys(RESOLUTIONS, NO_WAIT))


def measure(stores: Stores, windows: int, *works: Callable[[], int]) -> Taken:
    """Run rollers in parallel until the last is done. Together they roll so many windows."""
    with ThreadPoolExecutor(len(works)) as pool:
        began, wall = stores.database_seconds(), time.perf_counter()
        rolled = sum(pool.map(lambda work: work(), works))
        taken = Taken(time.perf_counter() - wall, stores.database_seconds() - began)
    if rolled != windows:
        raise SystemExit(f"{rolled} windows were rolled instead of {windows}")
    return taken


def mark_straggler(connection: Connection, minute: datetime, *, of_fleet: bool) -> None:
    """Mark a rolled minute again: of one device, or of its fleet."""
    connection.execute("DELETE FROM dirty")
    connection.execute(
        """
        INSERT INTO dirty (resolution, shard, window_start, entity_key, marked_at)
        SELECT '1m', shard, %s, entity_key, '-infinity' FROM entity WHERE (device_id IS NULL) = %s LIMIT 1
        """,
        [minute, of_fleet],
    )


def mark_one(connection: Connection, resolution: str, window: datetime) -> None:
    """Mark a rolled window again, as one device's straggler does: its own and its fleet's."""
    connection.execute("DELETE FROM dirty")
    for of_fleet in (False, True):
        connection.execute(
            """
            INSERT INTO dirty (resolution, shard, window_start, entity_key, marked_at)
            SELECT %s, shard, %s, entity_key, '-infinity' FROM entity
            WHERE (device_id IS NULL) = %s AND (shard < %s OR device_id IS NULL) LIMIT 1
            """,
            [resolution, window, of_fleet, SOME_SHARDS],
        )


def report_sizes(report: Report, connection: Connection) -> None:
    """Report the size of rows with their indexes, and of a device's day."""
    report.table("bytes", ["a row", "rows a device-day", "a device-day"])
    per_hour = {"sample": 360, "rollup_1m": 60, "rollup_1h": 1, "rollup_1d": 1 / ACTIVE_HOURS}
    for store, rows in per_hour.items():
        partitions = ["rollup_1d"]
        if store != "rollup_1d":
            found = connection.execute("SELECT partition_name FROM partitions_of(%s)", [store]).fetchall()
            partitions = [name for (name,) in found]
        kept = number(connection, f"SELECT count(*) FROM {store}")  # noqa: S608 -- the names above
        size = measure_size(connection, partitions) / kept
        daily = rows * ACTIVE_HOURS
        report.line(f"  {store}", [size, daily, size * daily], ",.0f", timed=0)


def number(connection: Connection, query: str, *parameters: int) -> int:
    """Ask for one number."""
    ((value,),) = connection.execute(query.encode(), parameters).fetchall()
    return int(value)


def report_wider(report: Report, what: str, fleets: Taken, both: Taken) -> None:
    """Report what all devices would take, from the shards that were rolled, and what the fleets take."""
    share = ALL_SHARDS / SOME_SHARDS
    devices = Taken((both.wall - fleets.wall) * share, (both.database - fleets.database) * share)
    report_taken(report, f"{what} of all devices, an eighth of them times {share:.0f}", devices)
    report_taken(report, f"  of {FLEETS} fleets", fleets)


def report_taken(report: Report, label: str, taken: Taken) -> None:
    """Report one line of figures."""
    report.line(label, [taken.wall, taken.database], ".3f")


if __name__ == "__main__":
    main()
