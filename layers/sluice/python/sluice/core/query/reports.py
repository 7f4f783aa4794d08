"""What readers are told besides rollups, as it is written."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from sluice.core.query.groups import GroupName
from sluice.core.query.windows import Series
from sluice.core.times import write_time


class Listing(msgspec.Struct, frozen=True):
    """A list, and where its next page begins."""

    items: Sequence[Any]
    next_cursor: str | None = None


class RecentReport(msgspec.Struct, frozen=True, rename={"start": "from"}):
    """The samples of the last minutes."""

    as_of: str
    freshness_seconds: float | None
    start: str
    truncated: bool
    items: Sequence[Series]
    next_cursor: str | None = None


class CounterReport(msgspec.Struct, frozen=True):
    """What came in, minute by minute; nothing where nobody can tell."""

    as_of: str
    available: bool
    items: Sequence["Minute"]
    next_cursor: str | None = None


class Minute(msgspec.Struct, frozen=True):
    """What was received in one minute, by type."""

    minute: str
    events: int
    types: dict[str, int]


class GroupsReport(msgspec.Struct, frozen=True):
    """A fleet's groups, as the directory told of them."""

    as_of: str
    items: Sequence[GroupName]
    next_cursor: str | None = None


def report_minutes(minutes: Sequence[datetime], counts: Sequence[dict[str, int]], as_of: datetime) -> CounterReport:
    """Tell what was counted."""
    items = [
        Minute(write_time(minute), sum(types.values()), dict(sorted(types.items())))
        for minute, types in zip(minutes, counts, strict=True)
    ]
    return CounterReport(write_time(as_of), True, items)


def write_optional(moment: datetime | None) -> str | None:
    """Write a time that may not be known."""
    return None if moment is None else write_time(moment)
