"""The numbers of a group from those of its devices: counts and sums are added, percentiles come from merged digests."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from sluice.core.query.rollup_rows import DeviceMetric, RollupRow
from sluice.core.rollup_archive.recall import ArchivedRow
from sluice.core.rollups.digests import merge_digests, pack, percentile

MEDIAN, HIGH = 0.5, 0.95


class DeviceRow(msgspec.Struct, frozen=True, array_like=True):
    """One device's row of a window, with the columns that merging needs."""

    start: int  # seconds since 1970
    metric_keys: list[int]
    counts: list[int]
    sums: list[float]
    mins: list[float]
    maxs: list[float]
    bins: list[int]
    bin_counts: list[int]


class _Totals(msgspec.Struct):
    """The totals of one metric over the devices of a window."""

    count: int = 0
    sum: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")

    def add(self, count: int, total: float, low: float, high: float) -> None:
        self.count += count
        self.sum += total
        self.low = min(self.low, low)
        self.high = max(self.high, high)


def gather_device_rows(rows: Iterable[ArchivedRow], book: Mapping[int, DeviceMetric]) -> list[DeviceRow]:
    """Make a device's row of each archived row; a device may have several for one window."""
    keys = {metric.name: key for key, metric in book.items()}
    return [
        DeviceRow(
            int(row.window_start.timestamp()),
            [keys[row.metric]],
            [row.count],
            [row.sum],
            [row.min],
            [row.max],
            [pack(keys[row.metric], number) for number in row.bins],
            list(row.bin_counts),
        )
        for row in rows
    ]


def merge_device_rows(rows: Iterable[DeviceRow], book: Mapping[int, DeviceMetric]) -> list[RollupRow]:
    """Merge the rows of devices window by window, in time order."""
    windows: defaultdict[int, list[DeviceRow]] = defaultdict(list)
    for row in rows:
        windows[row.start].append(row)
    return [_merge(start, windows[start], book) for start in sorted(windows)]


def _merge(start: int, rows: Sequence[DeviceRow], book: Mapping[int, DeviceMetric]) -> RollupRow:
    metrics: defaultdict[int, _Totals] = defaultdict(_Totals)
    for row in rows:
        numbers = zip(row.metric_keys, row.counts, row.sums, row.mins, row.maxs, strict=True)
        for key, count, total, low, high in numbers:
            metrics[key].add(count, total, low, high)
    digests = merge_digests((row.bins, row.bin_counts) for row in rows)
    keys = sorted(metrics)
    merged = [metrics[key] for key in keys]

    def rank(share: float) -> list[float]:
        return [
            percentile(digests[key], share, book[key].resolution, least=totals.low, most=totals.high)
            for key, totals in zip(keys, merged, strict=True)
        ]

    return RollupRow(
        start,
        keys,
        [totals.count for totals in merged],
        [totals.sum / totals.count for totals in merged],
        [totals.sum for totals in merged],
        [totals.low for totals in merged],
        [totals.high for totals in merged],
        rank(MEDIAN),
        rank(HIGH),
    )
