"""Offsets between the brokers and the stores: those in flight, and holes that nothing accounts for.

Of each partition, [0, last) was accepted, and a consumer has committed [0, committed). Offsets that it has not
committed are in flight. Committed offsets that no stored record accounts for are a hole. Every batch of archive makes a
short hole, until its file exists and is counted. A hole that stays is missing.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from sluice.core.offsets import Span


class Standing(msgspec.Struct, frozen=True):
    """A partition as the brokers see it: the offsets they hold, and a consumer's committed offset."""

    first: int
    committed: int
    last: int


class Hole(msgspec.Struct, frozen=True):
    """Committed offsets that nothing accounts for, since when, and when they were last run again."""

    start: int
    end: int
    noticed_at: datetime
    rerun_at: datetime | None = None
    missing: bool = False

    @property
    def size(self) -> int:
        """Return its number of offsets."""
        return self.end - self.start

    def may_rerun(self, now: datetime, grace: timedelta) -> bool:
        """Return whether to run it again: it is missing, and the result of the last run would be visible by now."""
        return self.missing and (self.rerun_at is None or self.rerun_at <= now - grace)


def date_holes(found: Iterable[Span], known: Sequence[Hole], now: datetime) -> list[Hole]:
    """Date holes, offset by offset: known offsets keep their time, new ones get the current time."""
    known = list(_part(known))
    holes: list[Hole] = []
    for span in found:
        kept = [
            msgspec.structs.replace(hole, start=max(hole.start, span[0]), end=min(hole.end, span[1]))
            for hole in known
            if hole.start < span[1] and span[0] < hole.end
        ]
        new = subtract(span, [(hole.start, hole.end) for hole in kept])
        holes += [*kept, *(Hole(start, end, now) for start, end in new)]
    return sorted(holes, key=lambda hole: hole.start)


def _part(holes: Iterable[Hole]) -> Iterator[Hole]:
    """Cut overlapping holes, so that each offset is in one."""
    end = 0
    for hole in sorted(holes, key=lambda hole: hole.start):
        if hole.end > end:
            yield msgspec.structs.replace(hole, start=max(hole.start, end))
            end = hole.end


def judge_holes(holes: Iterable[Hole], now: datetime, grace: timedelta) -> list[Hole]:
    """Return the holes that are missing: records in flight would have arrived by now."""
    return [msgspec.structs.replace(hole, missing=True) if hole.noticed_at <= now - grace else hole for hole in holes]


def mark_rerun(holes: Iterable[Hole], span: Span, now: datetime) -> list[Hole]:
    """Note that some offsets were run again; a hole that is only partly among them is cut."""
    marked: list[Hole] = []
    for hole in holes:
        outside = subtract((hole.start, hole.end), [span])
        marked += [msgspec.structs.replace(hole, start=start, end=end) for start, end in outside]
        start, end = max(hole.start, span[0]), min(hole.end, span[1])
        if start < end:
            marked.append(msgspec.structs.replace(hole, start=start, end=end, rerun_at=now))
    return sorted(marked, key=lambda hole: hole.start)


def subtract(span: Span, covered: Iterable[Span]) -> Iterator[Span]:
    """Subtract sorted ranges from one."""
    start, end = span
    for first, last in covered:
        if first >= end:
            break
        if start < first:
            yield start, first
        start = max(start, last)
    if start < end:
        yield start, end
