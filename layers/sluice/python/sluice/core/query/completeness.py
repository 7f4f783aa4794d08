"""The state of a range's numbers: complete, provisional, or missing something; and the reason."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Literal, NamedTuple

import msgspec

from sluice.core.times import write_time

State = Literal["complete", "provisional", "gap"]
Reason = Literal["not_closed", "being_rolled_again", "offsets_missing", "not_kept"]
TimeRange = tuple[datetime, datetime]


class Stretch(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """Adjacent windows with the same state."""

    start: str
    end: str
    state: State
    reason: Reason | None


class Knowledge(NamedTuple):
    """What is known about the windows of a range."""

    complete_until: datetime | None
    """Every window before it has been rolled; None: nothing has been rolled yet."""
    pending: Collection[datetime]
    """Windows that will be rolled again."""
    missing: Sequence[TimeRange]
    """Times of records that were stored but not counted."""
    kept_from: datetime
    """Rows before it are no longer kept."""


def describe(start: datetime, end: datetime, width: timedelta, known: Knowledge) -> list[Stretch]:
    """Return the state of every window of a range; adjacent windows with the same state are merged."""
    windows = (start + number * width for number in range((end - start) // width))
    judged = [(window, *_judge(window, width, known)) for window in windows]
    stretches = []
    for (state, reason), alike in groupby(judged, key=lambda one: one[1:]):
        first, *others = (window for window, *_ in alike)
        last = others[-1] if others else first
        stretches.append(Stretch(write_time(first), write_time(last + width), state, reason))
    return stretches


def _judge(window: datetime, width: timedelta, known: Knowledge) -> tuple[State, Reason | None]:
    if window < known.kept_from:
        return "gap", "not_kept"
    if any(window < end and start < window + width for start, end in known.missing):
        return "gap", "offsets_missing"
    if known.complete_until is None or window + width > known.complete_until:
        return "provisional", "not_closed"
    if window in known.pending:
        return "provisional", "being_rolled_again"
    return "complete", None
