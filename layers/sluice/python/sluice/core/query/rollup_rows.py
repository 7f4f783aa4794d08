"""Rows of windows as readers get them: one item per window and metric."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from sluice.core.rollup_archive.recall import ArchivedRow
from sluice.core.times import write_time


class DeviceMetric(msgspec.Struct, frozen=True, array_like=True):
    """A metric's name, its unit, and the resolution of its digests."""

    name: str
    unit: str
    resolution: float | None


class RollupRow(msgspec.Struct, frozen=True, array_like=True):
    """A row of rollups; its arrays have one element per metric."""

    start: int  # seconds since 1970
    metric_keys: list[int]
    counts: list[int]
    means: list[float]
    sums: list[float]
    mins: list[float]
    maxs: list[float]
    p50s: list[float]
    p95s: list[float]


class Item(msgspec.Struct, frozen=True):
    """The numbers of one metric in one window."""

    window_start: str
    device_id: str | msgspec.UnsetType
    metric: str
    unit: str
    count: int
    avg: float
    min: float
    max: float
    p50: float
    p95: float
    sum: float


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One event's readings."""

    entity_key: int
    time: int  # microseconds since 1970
    metric_keys: list[int]
    readings: list[float]


class MetricReadings(msgspec.Struct, frozen=True):
    """The readings of one metric of one device, in time order."""

    device_id: str
    metric: str
    unit: str
    points: list[tuple[str, float]]


def gather_windows(rows: Iterable[ArchivedRow], book: Mapping[int, DeviceMetric]) -> list[RollupRow]:
    """Build one device's or fleet's windows from rows of files, in time order."""
    keys = {metric.name: key for key, metric in book.items()}
    windows: dict[int, RollupRow] = {}
    for row in rows:
        start = int(row.window_start.timestamp())
        window = windows.setdefault(start, RollupRow(start, [], [], [], [], [], [], [], []))
        window.metric_keys.append(keys[row.metric])
        window.counts.append(row.count)
        window.means.append(row.avg)
        window.sums.append(row.sum)
        window.mins.append(row.min)
        window.maxs.append(row.max)
        window.p50s.append(row.p50)
        window.p95s.append(row.p95)
    return [windows[start] for start in sorted(windows)]


def list_items(
    windows: Iterable[RollupRow], book: Mapping[int, DeviceMetric], wanted: Collection[str], device_id: str | None
) -> list[Item]:
    """List the items of the wanted metrics; none named means all."""
    who = msgspec.UNSET if device_id is None else device_id
    items = []
    for window in windows:
        start = write_seconds(window.start)
        # In the order of an item's fields.
        columns = window.counts, window.means, window.mins, window.maxs, window.p50s, window.p95s, window.sums
        for key, *numbers in zip(window.metric_keys, *columns, strict=True):
            metric = book[key]
            if not wanted or metric.name in wanted:
                items.append(Item(start, who, metric.name, metric.unit, *numbers))
    return items


def list_series(
    samples: Iterable[Sample], devices: Mapping[int, str], book: Mapping[int, DeviceMetric], wanted: Collection[str]
) -> list[MetricReadings]:
    """Sort samples into series, by device and metric."""
    series: dict[tuple[str, str], MetricReadings] = {}
    for sample in samples:
        moment = _write_micros(sample.time)
        for key, reading in zip(sample.metric_keys, sample.readings, strict=True):
            metric = book[key]
            if wanted and metric.name not in wanted:
                continue
            name = devices[sample.entity_key], metric.name
            if name not in series:
                series[name] = MetricReadings(*name, metric.unit, [])
            series[name].points.append((moment, reading))
    return [series[name] for name in sorted(series)]


@lru_cache(maxsize=4096)
def write_seconds(seconds: int) -> str:
    """Write a time that is given in seconds since 1970."""
    return write_time(datetime.fromtimestamp(seconds, UTC))


def _write_micros(micros: int) -> str:
    seconds, fraction = divmod(micros, 1_000_000)
    return f"{write_seconds(seconds)[:-8]}.{fraction:06d}Z"
