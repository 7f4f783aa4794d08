"""When rollups move from the database to files, what the files are called, and when they may be believed.

A rollup is read from the database where its window starts at or after the floor of its store, and from files below it.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Literal

import msgspec

TieredResolution = Literal["1m", "1h"]
"""The widths whose older windows are moved; days stay."""

STORES: dict[TieredResolution, str] = {"1m": "rollup_1m", "1h": "rollup_1h"}
SOURCES: dict[TieredResolution, str] = {"1m": "sample", "1h": "rollup_1m"}
"""What a store is computed from: below the floor of that, its rows no longer change."""

STAGING = "staging/"
DAY = timedelta(days=1)

# Sums come in another order from the database than from the files.
SUM_TOLERANCE = 1e-9


class Unverified(Exception):
    """Files do not hold what the database does; its rows stay."""


class Slice(msgspec.Struct, frozen=True):
    """A part of one day of a store: what is moved at a time."""

    resolution: TieredResolution
    start: datetime
    end: datetime


class Partition(msgspec.Struct, frozen=True):
    """A table that holds a span of a store, and that can be dropped as one."""

    name: str
    start: datetime
    end: datetime


class File(msgspec.Struct, frozen=True):
    """One file of rollups, as the database and the manifest beside the files list it."""

    resolution: TieredResolution
    window_from: datetime
    window_to: datetime
    object: str
    row_count: int
    first_fleet_id: str
    first_device_id: str
    last_fleet_id: str
    last_device_id: str
    digest: str


class Totals(msgspec.Struct, frozen=True):
    """What the rollups of one metric add up to."""

    rows: int
    events: int
    total: float
    low: float
    high: float
    m2: float
    binned: int

    def with_more(self, more: "Totals") -> "Totals":
        """Add what other rows come to."""
        return Totals(
            self.rows + more.rows,
            self.events + more.events,
            self.total + more.total,
            min(self.low, more.low),
            max(self.high, more.high),
            self.m2 + more.m2,
            self.binned + more.binned,
        )


def add_up(parts: Iterable[Mapping[str, Totals]]) -> dict[str, Totals]:
    """Add up what parts come to, by metric."""
    totals: dict[str, Totals] = {}
    for part in parts:
        for metric, more in part.items():
            totals[metric] = totals[metric].with_more(more) if metric in totals else more
    return totals


def cut_slices(resolution: TieredResolution, start: datetime, end: datetime, length: timedelta) -> Iterator[Slice]:
    """Cut a span into slices; none is longer than `length` or reaches into another day."""
    while start < end:
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
        until = min(start + length, midnight, end)
        yield Slice(resolution, start, until)
        start = until


def name_object(part: Slice, number: int, digest: str) -> str:
    """Name a file by what is in it: the same rows are never found under two names."""
    return (
        f"rollups/resolution={part.resolution}/dt={part.start:%Y-%m-%d}/"
        f"{part.start:%H%M}-{number:04d}-{digest[:16]}.parquet"
    )


def name_manifest(resolution: TieredResolution, day: str) -> str:
    """Name the list of a day's files; it lies where no query looks for rows."""
    return f"manifests/resolution={resolution}/dt={day}.json"


def compare(stored: Mapping[str, Totals], written: Mapping[str, Totals]) -> None:
    """Refuse files whose rows, events, extremes or sums are not the database's."""
    if stored.keys() != written.keys():
        raise Unverified(f"the database has the metrics {sorted(stored)}, the files have {sorted(written)}")
    for metric, expected in stored.items():
        found = written[metric]
        exact = ("rows", "events", "low", "high", "binned")
        same = all(getattr(expected, name) == getattr(found, name) for name in exact)
        largest = max(abs(expected.low), abs(expected.high))
        if not (
            same
            and _close(expected.total, found.total, largest * expected.events)
            and _close(expected.m2, found.m2, expected.m2)
        ):
            raise Unverified(f"{metric}: the database has {expected}, the files have {found}")


def _close(one: float, other: float, scale: float) -> bool:
    return abs(one - other) <= SUM_TOLERANCE * scale
