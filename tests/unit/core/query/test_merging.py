import math
import statistics

import hypothesis
import pytest
from hypothesis import strategies

from sluice.core.query.merging import DeviceRow, gather_device_rows, merge_device_rows
from sluice.core.query.rollup_rows import DeviceMetric, gather_windows
from sluice.core.rollup_archive.recall import ArchivedRow
from sluice.core.rollups.digests import pack
from tests.support.samples import NOW

BOOK = {1: DeviceMetric("cpu_temp", "degC", 0.1), 2: DeviceMetric("humidity", "%RH", 0.1)}

Readings = dict[int, list[float]]


def part(start: int, readings: Readings) -> DeviceRow:
    """The row of a window, for readings that are whole steps of their sensor."""
    keys = sorted(readings)
    bins: dict[int, int] = {}
    for key in keys:
        for reading in readings[key]:
            packed = pack(key, round(reading / 0.1))
            bins[packed] = bins.get(packed, 0) + 1
    return DeviceRow(
        start,
        keys,
        [len(readings[key]) for key in keys],
        [math.fsum(readings[key]) for key in keys],
        [min(readings[key]) for key in keys],
        [max(readings[key]) for key in keys],
        sorted(bins),
        [bins[packed] for packed in sorted(bins)],
    )


def rank(values: list[float], share: float) -> float:
    ordered, place = sorted(values), share * (len(values) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


temperatures = strategies.lists(strategies.integers(-500, 1500).map(lambda steps: steps / 10), min_size=1, max_size=8)
devices = strategies.lists(
    strategies.tuples(
        strategies.sampled_from([60, 120]),
        strategies.dictionaries(strategies.sampled_from([1, 2]), temperatures, min_size=1),
    ),
    min_size=1,
    max_size=8,
)


@hypothesis.given(devices, strategies.randoms())
def test_a_group_has_the_numbers_of_all_its_readings_in_any_order(
    rows: list[tuple[int, Readings]], chance: object
) -> None:
    parts = [part(start, readings) for start, readings in rows]
    chance.shuffle(parts)  # type: ignore[attr-defined]
    windows = merge_device_rows(parts, BOOK)
    assert [window.start for window in windows] == sorted({start for start, _ in rows})
    for window in windows:
        of_window = [readings for start, readings in rows if start == window.start]
        for place, key in enumerate(window.metric_keys):
            values = [reading for readings in of_window for reading in readings.get(key, ())]
            assert (window.counts[place], window.mins[place], window.maxs[place]) == (
                len(values),
                min(values),
                max(values),
            )
            assert window.means[place] == pytest.approx(statistics.fmean(values), abs=1e-9)
            assert window.p50s[place] == pytest.approx(rank(values, 0.5), abs=1e-9)
            assert window.p95s[place] == pytest.approx(rank(values, 0.95), abs=1e-9)


def recalled(
    minute: int, metric: str, device: str | None, bins: dict[int, int], low: float, high: float
) -> ArchivedRow:
    start = NOW.replace(minute=minute, second=0, microsecond=0)
    count = sum(bins.values())
    total = count * (low + high) / 2
    return ArchivedRow(
        start,
        device,
        metric,
        "x",
        count,
        total / count,
        low,
        high,
        low,
        high,
        total,
        0.0,
        tuple(bins),
        tuple(bins.values()),
    )


def test_rows_from_files_are_merged_as_those_of_the_database() -> None:
    rows = [
        recalled(1, "cpu_temp", "a", {-5: 1, 400: 3}, -0.5, 40.0),
        recalled(1, "humidity", "a", {500: 1}, 50.0, 50.0),
        recalled(1, "cpu_temp", "b", {401: 2}, 40.1, 40.1),
    ]
    (window,) = merge_device_rows(gather_device_rows(rows, BOOK), BOOK)
    assert (window.metric_keys, window.counts) == ([1, 2], [6, 1])
    assert (window.mins, window.maxs) == ([-0.5, 50.0], [40.1, 50.0])
    assert window.p50s == [pytest.approx(40.0), 50.0]


def test_rows_of_one_device_become_its_windows_in_the_order_of_time() -> None:
    rows = [recalled(2, "humidity", "a", {1: 1}, 1, 1), recalled(1, "cpu_temp", "a", {1: 2}, 3, 5)]
    first, second = gather_windows(rows, BOOK)
    assert (first.metric_keys, first.counts, first.means, first.p95s) == ([1], [2], [4.0], [5])
    assert (second.metric_keys, second.start - first.start) == ([2], 60)
