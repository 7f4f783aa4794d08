"""Which copies of an event its samples came from: a sample does not say it, but its time and the offsets show it."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from sluice.core.records import Origin
from sluice.core.times import CLOCK_AHEAD, LATE_ARRIVAL
from sluice.core.trace.lake_search import StoredCopy

# Times in the files have milliseconds, rounded or cut.
_SAME_TIME = timedelta(milliseconds=1)


def find_counted(
    copies: Iterable[StoredCopy], moments: Iterable[datetime], progress: Mapping[Origin, str], buried: set[Origin]
) -> set[Origin]:
    """Find the copy that counted for each sample's time: the first by offset that has this time.

    A copy with a letter may still count: it may have been counted before it was given up, or been run again. So a
    sample outweighs a letter, and a letter outweighs the order of offsets.
    """
    on_time = [copy for copy in copies if LATE_ARRIVAL not in copy.flags]
    able = [copy for copy in on_time if copy.origin not in buried]
    able += [copy for copy in on_time if copy.origin in buried and progress.get(copy.origin) == "done"]
    firsts = (next((copy for copy in able if _counts_at(copy, moment)), None) for moment in moments)
    return {copy.origin for copy in firsts if copy is not None}


def effective_time(copy: StoredCopy) -> datetime | None:
    """Return the time that a copy counts at, if the files show it."""
    return copy.received_at if CLOCK_AHEAD in copy.flags else copy.event_time


def is_same_time(one: datetime, other: datetime) -> bool:
    """Compare a time from the files with one from the database."""
    return abs(one - other) <= _SAME_TIME


def _counts_at(copy: StoredCopy, moment: datetime) -> bool:
    effective = effective_time(copy)
    return effective is not None and is_same_time(effective, moment)
