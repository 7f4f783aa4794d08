"""Moving rollups from the database to files: the schedule, the file names, and the verification.

Rollups whose window starts at or after the floor of their store are read from the database, older ones from files.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Literal

import msgspec

TieredResolution = Literal["1m", "1h"]
"""The widths whose older windows move; days stay."""

STORES: dict[TieredResolution, str] = {"1m": "rollup_1m", "1h": "rollup_1h"}
SOURCES: dict[TieredResolution, str] = {"1m": "sample", "1h": "rollup_1m"}
"""The source of each store: below its source's floor, a store's rows no longer change."""

STAGING = "staging/"
DAY = timedelta(days=1)

# The database and the files add up in different orders.
SUM_TOLERANCE = 1e-9


class Unverified(Exception):
    """The files differ from the database, so its rows stay."""


class StoreSpan(msgspec.Struct, frozen=True):
    """A part of a store: a partition, which is dropped as one, or a slice of it, which is moved as one."""

    resolution: TieredResolution
    start: datetime
    end: datetime


class RollupFile(msgspec.Struct, frozen=True):
    """One file of rollups, as the database and the manifest next to the files list it."""

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
    """The totals of one metric's rollups."""

    rows: int
    events: int
    total: float
    low: float
    high: float
    m2: float
    binned: int

    def with_more(self, more: "Totals") -> "Totals":
        """Add the totals of other rows."""
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
    """Add up the totals of parts, by metric."""
    totals: dict[str, Totals] = {}
    for part in parts:
        for metric, more in part.items():
            totals[metric] = totals[metric].with_more(more) if metric in totals else more
    return totals


def cut_slices(resolution: TieredResolution, start: datetime, end: datetime, length: timedelta) -> Iterator[StoreSpan]:
    """Cut a span into slices; none is longer than `length` or crosses midnight."""
    while start < end:
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
        until = min(start + length, midnight, end)
        yield StoreSpan(resolution, start, until)
        start = until


def name_object(part: StoreSpan, number: int, digest: str) -> str:
    """Name a file by its content: the same rows never have two names."""
    return (
        f"rollups/resolution={part.resolution}/dt={part.start:%Y-%m-%d}/"
        f"{part.start:%H%M}-{number:04d}-{digest[:16]}.parquet"
    )


def compare(stored: Mapping[str, Totals], written: Mapping[str, Totals]) -> None:
    """Refuse files whose rows, events, extremes or sums differ from the database's."""
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
