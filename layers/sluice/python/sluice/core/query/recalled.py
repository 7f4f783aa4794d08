"""Rows from files in the form in which the database has them."""

from collections.abc import Iterable, Mapping

from sluice.core.numbers.digests import pack
from sluice.core.numbers.recalls import RecalledRow
from sluice.core.query.merging import Part
from sluice.core.query.windows import Metric, Window


def gather_windows(rows: Iterable[RecalledRow], book: Mapping[int, Metric]) -> list[Window]:
    """Put the metrics of one device's or fleet's windows together, in the order of time."""
    keys = _keys(book)
    windows: dict[int, Window] = {}
    for row in rows:
        start = int(row.window_start.timestamp())
        window = windows.setdefault(start, Window(start, [], [], [], [], [], [], [], []))
        window.metric_keys.append(keys[row.metric])
        window.counts.append(row.count)
        window.means.append(row.avg)
        window.sums.append(row.sum)
        window.mins.append(row.min)
        window.maxs.append(row.max)
        window.p50s.append(row.p50)
        window.p95s.append(row.p95)
    return [windows[start] for start in sorted(windows)]


def gather_parts(rows: Iterable[RecalledRow], book: Mapping[int, Metric]) -> list[Part]:
    """Make a part of every row: merging does not mind that a device has several for one window."""
    keys = _keys(book)
    return [
        Part(
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


def _keys(book: Mapping[int, Metric]) -> dict[str, int]:
    return {metric.name: key for key, metric in book.items()}
