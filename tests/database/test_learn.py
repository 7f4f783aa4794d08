"""What learn computes from rollups, against the same figures computed without SQL."""

import math
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from statistics import fmean, median, pstdev
from typing import Any

import psycopg
import pytest

from sluice.core.detect.learned import LearnedDevice, LearnedSeries
from sluice.core.detect.statistics import Usual, cell_of
from sluice.edge.detect.baselines import Baselines, Due
from tests.database.replaying import connect_as

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
UNTIL = datetime(2026, 3, 9, 12, 40, tzinfo=UTC)
FULL = UNTIL.replace(minute=0)
SHARD = 5
METRICS = ("cpu_temp", "humidity")
Connection = psycopg.Connection[tuple[Any, ...]]
Window = tuple[str, datetime, dict[str, list[float]]]  # a device, a window's start, and its readings

_ROLLUP = """
    INSERT INTO {table} (
        entity_key, window_start, metric_keys, counts, means, m2s, sums, mins, maxs, p50s, p95s, bins, bin_counts
    )
    SELECT entity_key, %s, %s, %s, %s, %s, '{{}}', %s, %s, '{{}}', '{{}}', '{{}}', '{{}}'
    FROM entity WHERE device_id = %s
"""


class World:
    """A database with rollups, and learn's side of it."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.owner: Connection = psycopg.connect(dsn, autocommit=True)
        for store in ("rollup_1m", "rollup_1h"):
            self.owner.execute("SELECT ensure_partitions(%s, %s, %s)", [store, UNTIL - timedelta(days=9), UNTIL])
        for name in METRICS:
            self.owner.execute("INSERT INTO metric (name, unit, resolution) VALUES (%s, 'x', 0.1)", [name])
        self.keys: dict[str, int] = dict(self.owner.execute("SELECT name, metric_key FROM metric").fetchall())
        self.owner.execute("UPDATE shard SET closed_until = %s WHERE shard = %s", [UNTIL, SHARD])
        self.windows: list[Window] = []
        self.learn: Connection = connect_as(dsn, "learn")
        self.baselines = Baselines(self.learn, timedelta(days=7), 7)

    def device(self, name: str, shard: int = SHARD, age: timedelta = timedelta(days=30)) -> None:
        self.owner.execute(
            "INSERT INTO entity (fleet_id, device_id, shard, first_seen_at) VALUES ('demo', %s, %s, %s)",
            [name, shard, UNTIL - age],
        )

    def sight(self, name: str, firmware: str, first: datetime, last: datetime = UNTIL) -> None:
        self.owner.execute(
            "INSERT INTO sighting SELECT entity_key, 'telemetry', 2, %s, %s, %s FROM entity WHERE device_id = %s",
            [firmware, first, last, name],
        )

    def roll(self, table: str, device: str, window: datetime, readings: dict[str, list[float]]) -> None:
        there = sorted((self.keys[name], values) for name, values in readings.items())
        columns = (
            [key for key, _ in there],
            [len(values) for _, values in there],
            [fmean(values) for _, values in there],
            [len(values) * pstdev(values) ** 2 for _, values in there],
            [min(values) for _, values in there],
            [max(values) for _, values in there],
        )
        self.owner.execute(_ROLLUP.format(table=table), [window, *columns, device])
        if table == "rollup_1h":
            self.windows.append((device, window, readings))

    def week(self, device: str, count: int = 40, level: float = 50.0, hours: Sequence[int] = range(24)) -> None:
        chance = random.Random(device)
        for number in range(1, 7 * 24 + 1):
            window = FULL - number * HOUR
            if window.hour in hours:
                usual = level + 10 * math.sin(window.hour / 24 * 2 * math.pi)
                readings = {name: [chance.gauss(usual, 1 + window.hour / 24) for _ in range(count)] for name in METRICS}
                self.roll("rollup_1h", device, window, readings)

    def compute(self, now: datetime = UNTIL) -> int:
        return self.baselines.compute(Due(SHARD, FULL), now)

    def stored(self, device: str, metric: str = "cpu_temp") -> dict[str, Any] | None:
        cursor = self.owner.execute(
            "SELECT to_jsonb(baseline) FROM baseline JOIN entity USING (entity_key) JOIN metric USING (metric_key)"
            " WHERE device_id = %s AND name = %s",
            [device, metric],
        )
        row = cursor.fetchone()
        return row[0] if row else None

    def read(self) -> dict[str, LearnedDevice]:
        return {device.device_id: device for device in self.baselines.read(Due(SHARD, UNTIL))}

    def series(self, device: str, metric: str = "cpu_temp") -> LearnedSeries:
        (found,) = (one for one in self.read()[device].series if one.metric == metric)
        return found


@pytest.fixture
def world(database: str) -> Iterator[World]:
    made = World(database)
    yield made
    made.owner.close()
    made.learn.close()


def recompute(windows: Sequence[Window], metric: str) -> dict[str, Any]:
    """Compute a baseline from the readings themselves."""
    cells, hours = defaultdict[int, list[float]](list), defaultdict[int, list[float]](list)
    days = defaultdict[int, set[datetime]](set)
    for _, window, readings in windows:
        cells[cell_of(window)] += readings[metric]
        hours[window.hour] += readings[metric]
        days[cell_of(window)].add(window)
    everything = [value for _, _, readings in windows for value in readings[metric]]
    chosen = []
    for cell in range(48):
        own, of_hour = cells[cell], hours[cell % 24]
        if len(own) >= 30 and len(days[cell]) >= 2:
            chosen.append(own)
        else:
            chosen.append(of_hour if len(of_hour) >= 30 else everything)
    means = [fmean(readings[metric]) for _, _, readings in windows]
    return {
        "counts": [len(values) for values in chosen],
        "means": [fmean(values) for values in chosen],
        "deviations": [pstdev(values) for values in chosen],
        "low": min(everything),
        "high": max(everything),
        "hour_count": len(windows),
        "hour_mean": fmean(means),
        "hour_deviation": pstdev(means),
        "least_deviation": min(pstdev(readings[metric]) for _, _, readings in windows),
        "interval_seconds": median(3600 / len(readings[metric]) for _, _, readings in windows),
    }


@pytest.mark.parametrize("hours", [range(24), [9, 10, 17]], ids=["around the clock", "three hours a day"])
def test_a_baseline_is_what_its_readings_say(world: World, hours: Sequence[int]) -> None:
    for name in ("one", "other"):
        world.device(name)
        world.week(name, level=50.0 if name == "one" else 70.0, hours=hours)
    assert world.compute() == 4
    for name in ("one", "other"):
        for metric in METRICS:
            stored = world.stored(name, metric)
            assert stored is not None
            expected = recompute([window for window in world.windows if window[0] == name], metric)
            assert {key: stored[key] for key in expected} == {
                key: pytest.approx(value, rel=1e-9) for key, value in expected.items()
            }
            assert stored["active_hours"] == sum(1 << hour for hour in hours)


def test_only_the_shards_devices_and_full_hours_of_seven_days_count(world: World) -> None:
    for name, shard in (("here", SHARD), ("there", SHARD + 1)):
        world.device(name, shard)
        for window in (FULL, FULL - timedelta(days=7), FULL - timedelta(days=7) - HOUR):
            world.roll("rollup_1h", name, window, {"cpu_temp": [100.0, 200.0]})
    assert world.compute() == 1
    stored = world.stored("here")
    assert stored is not None
    assert stored["hour_count"] == 1
    assert world.stored("there") is None


def test_what_is_gone_is_forgotten_and_what_is_computed_again_is_replaced(world: World) -> None:
    world.device("stays")
    world.device("goes")
    world.roll("rollup_1h", "stays", FULL - HOUR, {"cpu_temp": [1.0, 3.0]})
    world.roll("rollup_1h", "goes", FULL - HOUR, {"cpu_temp": [1.0, 3.0]})
    world.compute()
    world.owner.execute("DELETE FROM rollup_1h")
    world.roll("rollup_1h", "stays", FULL - HOUR, {"cpu_temp": [7.0, 9.0]})
    world.compute(UNTIL + HOUR)
    stored = world.stored("stays")
    assert stored is not None
    assert (stored["low"], world.stored("goes")) == (7.0, None)


def test_a_firmware_change_restarts_what_it_moved_and_nothing_else(world: World) -> None:
    world.device("updated")
    changed = FULL - 30 * HOUR
    world.sight("updated", "1.0.0", UNTIL - timedelta(days=30), changed)
    world.sight("updated", "2.0.0", changed)
    for number in range(1, 7 * 24 + 1):
        window = FULL - number * HOUR
        moved = 20.0 if window >= changed else 0.0
        shake = 0.1 * (number % 3)
        world.roll(
            "rollup_1h",
            "updated",
            window,
            {"cpu_temp": [50 + moved + shake, 51 + moved + shake], "humidity": [40 + shake, 41 + shake]},
        )
    world.compute()
    moved_one, kept = world.stored("updated", "cpu_temp"), world.stored("updated", "humidity")
    assert moved_one is not None
    assert kept is not None
    assert (moved_one["restarted_by"], moved_one["hour_count"], moved_one["low"]) == ("2.0.0", 30, 70.0)
    assert datetime.fromisoformat(moved_one["since"]) == changed
    assert (kept["restarted_by"], kept["hour_count"]) == (None, 168)
    assert (world.series("updated").learned, world.series("updated", "humidity").learned) == (False, True)


def test_a_level_that_moved_with_a_firmware_since_the_last_computation_is_not_judged(world: World) -> None:
    world.device("updated")
    world.week("updated")
    world.compute(UNTIL - HOUR)
    world.sight("updated", "1.0.0", UNTIL - timedelta(days=30))
    for number in range(1, 31):
        world.roll("rollup_1m", "updated", UNTIL - number * MINUTE, {"cpu_temp": [150.0, 151.0], "humidity": [50.0]})
    assert world.series("updated").learned
    world.sight("updated", "2.0.0", UNTIL - 30 * MINUTE)
    assert not world.series("updated").learned
    assert world.series("updated", "humidity").learned


def test_statistics_are_those_of_the_last_rolled_hour(world: World) -> None:
    world.device("one")
    values = []
    for number in range(1, 90):
        window = [50.0 + number, 52.0]
        world.roll("rollup_1m", "one", UNTIL - number * MINUTE, {"cpu_temp": window})
        values += window if number <= 60 else []
    # A minute that was rolled before the others of its shard.
    world.roll("rollup_1m", "one", UNTIL, {"cpu_temp": [1e6]})
    found = world.series("one")
    assert found.recent is not None
    assert found.recent.mean == pytest.approx(fmean(values))
    assert found.recent.deviation == pytest.approx(pstdev(values))
    assert (found.recent.count, found.recent, found.last_minute) == (120, found.hour, UNTIL - MINUTE)
    assert (found.learned, found.baseline) == (False, None)


def test_a_slow_series_takes_the_readings_of_a_day(world: World) -> None:
    world.device("slow")
    world.roll("rollup_1m", "slow", UNTIL - MINUTE, {"cpu_temp": [50.0], "humidity": [40.0] * 30})
    for number in range(1, 30):
        world.roll("rollup_1h", "slow", FULL - number * HOUR, {"cpu_temp": [50.0, 60.0], "humidity": [1.0]})
    cpu, humidity = world.series("slow"), world.series("slow", "humidity")
    assert cpu.recent == Usual(55.0, 5.0, 48)
    assert cpu.hour == Usual(50.0, 0.0, 1)
    assert humidity.recent == Usual(40.0, 0.0, 30)


def test_a_new_device_is_not_learned_for_its_first_seven_days(world: World) -> None:
    for name, age in (("old", timedelta(days=7, minutes=1)), ("new", timedelta(days=6))):
        world.device(name, age=age)
        world.week(name)
    world.compute()
    assert (world.series("old").learned, world.series("new").learned) == (True, False)


def test_a_silent_device_keeps_its_baseline_and_its_last_sighting(world: World) -> None:
    world.device("silent")
    world.week("silent")
    world.sight("silent", "1.0.0", UNTIL - timedelta(days=30), UNTIL - 3 * HOUR)
    world.compute()
    found = world.read()["silent"]
    assert found.last_seen_at == UNTIL - 3 * HOUR
    assert [one.hour for one in found.series] == [None, None]
    assert all(one.baseline is not None for one in found.series)
    assert found.last_sent(UNTIL) == UNTIL - 3 * HOUR + 10 * MINUTE


def test_the_usual_gap_of_a_device_is_that_between_its_bursts(world: World) -> None:
    for name in ("steady", "bursts"):
        world.device(name)
        world.roll("rollup_1h", name, FULL - HOUR, {"cpu_temp": [1.0] * 60})
        for number in range(1, 24 * 60):
            window = FULL - number * MINUTE
            if name == "steady" or window.minute < 5:
                world.roll("rollup_1m", name, window, {"cpu_temp": [1.0]})
    world.compute()
    gaps = [found["gap_seconds"] for name in ("steady", "bursts") if (found := world.stored(name))]
    assert gaps == [60.0, 56 * 60.0]


def test_shards_take_turns(world: World) -> None:
    world.owner.execute("UPDATE shard SET closed_until = %s WHERE shard IN (6, 7)", [UNTIL])
    due = world.baselines.find_due(UNTIL - 5 * MINUTE, 2)
    assert due == [Due(5, UNTIL), Due(6, UNTIL)]
    for one in due:
        world.baselines.note_try(one.shard, UNTIL)
        world.baselines.note_published(one.shard, UNTIL, {"demo": (3, 1)})
    assert world.baselines.find_due(UNTIL - 5 * MINUTE, 2) == [Due(7, UNTIL)]
    assert [one.shard for one in world.baselines.find_due(UNTIL, 9)] == [7, 5, 6]
    assert world.baselines.read_expected()[5] == {"demo": [3, 1]}
    assert world.baselines.find_due_for_baselines(UNTIL, UNTIL) == Due(5, FULL)
    world.compute()
    assert world.baselines.find_due_for_baselines(UNTIL - HOUR, UNTIL) == Due(6, FULL)


def test_a_shard_that_fails_every_time_waits_for_its_turn(world: World) -> None:
    world.owner.execute("UPDATE shard SET closed_until = %s WHERE shard IN (6, 7)", [UNTIL])
    # Shard 5 is begun, and nothing is noted of its end.
    world.baselines.note_try(5, UNTIL)
    assert [one.shard for one in world.baselines.find_due(UNTIL, 2)] == [6, 7]
    assert [one.shard for one in world.baselines.find_due(UNTIL, 3)] == [6, 7, 5]
    world.baselines.note_try_of_baselines(5, UNTIL)
    assert world.baselines.find_due_for_baselines(UNTIL, UNTIL - HOUR) == Due(6, FULL)
    for shard in (6, 7):
        world.baselines.note_try_of_baselines(shard, UNTIL)
    assert world.baselines.find_due_for_baselines(UNTIL, UNTIL - HOUR) is None
    assert world.baselines.find_due_for_baselines(UNTIL + HOUR, UNTIL) == Due(5, FULL)
