"""Samples as aggregate writes them, and what is to be rolled from them, computed without SQL."""

import math
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from sluice.core.rollups.resolutions import RESOLUTIONS
from sluice.edge.database import Database
from sluice.edge.rollups.rolling import Rolling, prepare
from tests.support.recomputation import EPOCH, LENGTHS, TOLERANCE, percentile

METRICS: dict[str, float | None] = {"coarse": 0.5, "fine": 0.01, "undeclared": None}
TABLES = {"1m": "rollup_1m", "1h": "rollup_1h", "1d": "rollup_1d"}

Connection = psycopg.Connection[tuple[Any, ...]]


class Sample(NamedTuple):
    """One event's readings."""

    fleet: str
    device: str
    moment: datetime
    readings: dict[str, float]


Key = tuple[str, str | None, str, datetime]
"""A fleet, a device or None for the fleet as a whole, a resolution and the window's start."""


class Samples:
    """A database that samples are written to."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.connection: Connection = psycopg.connect(dsn, autocommit=True)
        self.connection.execute("SET TIME ZONE 'UTC'")
        self.written: list[Sample] = []
        self.metrics: dict[str, int] = {}
        for name, resolution in METRICS.items():
            inserted = "INSERT INTO metric (name, unit, resolution) VALUES (%s, 'u', %s) RETURNING metric_key"
            ((self.metrics[name],),) = self.connection.execute(inserted, [name, resolution]).fetchall()
        self._entities: dict[tuple[str, str | None], tuple[int, int]] = {}
        self._databases: list[Database] = []

    def close(self) -> None:
        """Close every connection."""
        for store in self._databases:
            store.close()
        self.connection.close()

    def roller(self, settling: float = 0.0, grace: float = 0.0) -> Rolling:
        """Return a roller that logs in as roll does, with its permissions only."""

        def connect() -> Connection:
            return prepare(psycopg.connect(self.dsn, user="sluice_roll", autocommit=True))

        store, wait = Database(connect, 60), timedelta(seconds=settling)
        self._databases.append(store)
        return Rolling(store, timedelta(seconds=grace), dict.fromkeys(RESOLUTIONS, wait))

    def prepare_for(self, first: datetime, last: datetime) -> None:
        """Make every partition of a time."""
        for store in ("sample", "rollup_1m", "rollup_1h"):
            self.connection.execute("SELECT ensure_partitions(%s, %s, %s)", [store, first, last])

    def entity(self, fleet: str, device: str | None) -> tuple[int, int]:
        """Return an entity's key and shard."""
        if (fleet, device) not in self._entities:
            # Some devices share a shard, some do not.
            shard = sum(f"{fleet}/{device}".encode()) % 64
            inserted = "INSERT INTO entity (fleet_id, device_id, shard) VALUES (%s, %s, %s) RETURNING entity_key"
            ((key,),) = self.connection.execute(inserted, [fleet, device, shard]).fetchall()
            self._entities[fleet, device] = key, shard
        return self._entities[fleet, device]

    @contextmanager
    def writing(self, samples: Iterable[Sample]) -> Iterator[None]:
        """Write a batch as aggregate does, in a transaction that ends with the context."""
        samples = list(samples)
        for one in samples:
            self.entity(one.fleet, one.device)
            self.entity(one.fleet, None)
        with psycopg.connect(self.dsn) as connection:
            closed: dict[int, datetime | None] = dict(
                connection.execute("SELECT shard, nullif(closed_until, '-infinity') FROM shard").fetchall()
            )
            for one in samples:
                key, shard = self.entity(one.fleet, one.device)
                whole, its_shard = self.entity(one.fleet, None)
                keys = [self.metrics[name] for name in one.readings]
                connection.execute(
                    "INSERT INTO sample VALUES (%s, %s, %s, %s, %s, %s)",
                    [key, uuid.uuid4(), one.moment, shard, keys, list(one.readings.values())],
                )
                minute = window_of(one.moment, "1m")
                closed_until = closed[shard]
                straggles = closed_until is not None and minute < closed_until
                for marked, entity in ((shard, key if straggles else None), (its_shard, whole)):
                    connection.execute(
                        "INSERT INTO dirty (resolution, shard, window_start, entity_key) VALUES ('1m', %s, %s, %s)",
                        [marked, minute, entity],
                    )
            yield
        self.written += samples

    def write(self, *samples: Sample) -> None:
        """Write and commit a batch."""
        with self.writing(samples):
            pass

    def row(self, fleet: str, device: str | None, resolution: str, window: datetime) -> dict[str, Any] | None:
        """Return one row of rollups with its place in the table."""
        key, _ = self.entity(fleet, device)
        with self.connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            query = f"SELECT *, xmin::text FROM {TABLES[resolution]} WHERE entity_key = %s AND window_start = %s"
            return cursor.execute(query, [key, window]).fetchone()

    def rows(self) -> dict[Key, dict[str, Any]]:
        """Return every row of rollups."""
        names = {key: who for who, (key, _) in self._entities.items()}
        found: dict[Key, dict[str, Any]] = {}
        for resolution, table in TABLES.items():
            with self.connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
                for row in cursor.execute(f"SELECT * FROM {table}"):
                    found[*names[row["entity_key"]], resolution, row["window_start"]] = row
        return found

    def markers(self) -> list[tuple[Any, ...]]:
        """Return the markers that wait."""
        return self.connection.execute("SELECT resolution, shard, window_start, entity_key FROM dirty").fetchall()

    def closed_until(self) -> datetime | None:
        """Return the moment up to which every shard is closed."""
        query = "SELECT nullif(min(closed_until), '-infinity') FROM shard"
        ((found,),) = self.connection.execute(query).fetchall()
        moment: datetime | None = found
        return moment


def window_of(moment: datetime, resolution: str) -> datetime:
    """Return the start of a moment's window."""
    return moment - (moment - EPOCH) % LENGTHS[resolution]


def drain(rolling: Rolling, watermark: datetime | None) -> int:
    """Roll until nothing is due; return how many rows were written."""
    windows = 0
    while True:
        done = [rolling.roll_minutes(watermark, 64), rolling.roll_wider("1h"), rolling.roll_wider("1d")]
        windows += sum(one.windows for one in done)
        if not any(one.shards for one in done):
            return windows


def expect(samples: Iterable[Sample], closed_until: datetime) -> dict[Key, dict[str, list[float]]]:
    """List the readings of every window that is closed, by metric."""
    windows: defaultdict[Key, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in samples:
        for resolution, length in LENGTHS.items():
            start = window_of(one.moment, resolution)
            if start + length <= closed_until:
                for device in (one.device, None):
                    for name, reading in one.readings.items():
                        windows[one.fleet, device, resolution, start][name].append(reading)
    return {key: dict(metrics) for key, metrics in windows.items()}


def differences(samples: Samples, closed_until: datetime) -> list[str]:
    """List every difference between the rollups and the samples."""
    expected, found = expect(samples.written, closed_until), samples.rows()
    missing = [f"missing: {key}" for key in expected.keys() - found.keys()]
    extra = [f"extra: {key}" for key in found.keys() - expected.keys()]
    wrong = [
        f"{key}: {wrong}"
        for key in expected.keys() & found.keys()
        for wrong in _compare(key[2], expected[key], found[key], samples.metrics)
    ]
    return missing + extra + wrong


def _compare(
    resolution: str, expected: dict[str, list[float]], row: dict[str, Any], metrics: dict[str, int]
) -> Iterator[str]:
    names = sorted(expected, key=lambda name: metrics[name])
    if row["metric_keys"] != [metrics[name] for name in names]:
        yield f"metrics are {row['metric_keys']}"
        return
    if row["bins"] != sorted(set(row["bins"])) or len(row["bins"]) != len(row["bin_counts"]):
        yield "the digest is not sorted"
    for place, name in enumerate(names):
        readings = sorted(expected[name])
        for column, exact in (("counts", len(readings)), ("mins", readings[0]), ("maxs", readings[-1])):
            if row[column][place] != exact:
                yield f"{name}: {column} {row[column][place]} is not {exact}"
        total, magnitude = math.fsum(readings), math.fsum(map(abs, readings))
        mean = total / len(readings)
        m2 = math.fsum((reading - mean) ** 2 for reading in readings)
        within = {
            "sums": (total, TOLERANCE * magnitude),
            "means": (mean, TOLERANCE * magnitude / len(readings)),
            # The error of a mean is also the error of its squares.
            "m2s": (m2, TOLERANCE * (m2 + magnitude * max(map(abs, readings)))),
        }
        for column, share in (("p50s", 0.50), ("p95s", 0.95)):
            # Where no resolution is declared, bins of 0.1 % begin at once, and values below the first of them are 0.
            step = METRICS[name] or 0.0
            about, by = percentile(readings, share, None if resolution == "1m" else step)
            within[column] = about, by + (0.0 if step or resolution == "1m" else 1e-12)
        for column, (about, by) in within.items():
            if not abs(row[column][place] - about) <= by:
                yield f"{name}: {column} {row[column][place]} is not {about} within {by}"
        binned = sum(
            count for packed, count in zip(row["bins"], row["bin_counts"], strict=True) if packed >> 32 == metrics[name]
        )
        if binned != len(readings):
            yield f"{name}: {binned} of {len(readings)} readings are in the digest"
