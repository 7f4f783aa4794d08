"""Pressure: how much of the requests is refused so that the brokers never have to refuse them all.

What is measured is placed on one scale: below 0 nothing is refused, at 1 everything. The share that is refused follows
the scale upwards at once, and downwards only from some way further down, so that it does not flutter.
"""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec

from sluice.core.errors import Advice

RELIEF = 0.4
"""How far below the place at which a share is reached it is left again, on the scale."""
LEAST_SAMPLE = 0.05
"""What is always worth sending: readings so thinned still show what happened meanwhile."""
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 5, 60
MOST_FOR_SLOWNESS = 0.9
"""Of every ten requests one goes on: without it, nobody would notice that producing is quick again."""
LONGEST_BELIEF = timedelta(minutes=10)
CLOCKS_DIFFER = timedelta(minutes=1)


class Ramp(msgspec.Struct, frozen=True):
    """Where a measure begins to weigh, and where it weighs so much that nothing more is taken."""

    begins: float
    full: float

    def place(self, measured: float) -> float:
        """Place a measure on the scale."""
        return (measured - self.begins) / (self.full - self.begins)


BUFFER = Ramp(0.5, 0.75)
"""Of the time a record may wait for its consumers: of four hours, a store may be away for two and nobody is refused."""
DISK = Ramp(70, 85)
"""Percent of the fullest broker's disk; the brokers themselves stop where it is full."""
SLOWNESS = Ramp(0.5, 1)
"""Of the time that producing may take."""


class Snapshot(msgspec.Struct, frozen=True):
    """What is published: the share of requests to refuse, and for how long that may be believed."""

    measured_at: Annotated[datetime, msgspec.Meta(tz=True)]
    until: Annotated[datetime, msgspec.Meta(tz=True)]
    share: Annotated[float, msgspec.Meta(ge=0, le=1)]
    version: Literal[1]


class UnknownPressureError(Exception):
    """There is no word about pressure that could be believed."""


def measure_strain(used: float, disk: float | None) -> float:
    """Place the buffer and the disk on the scale; the one that is further along decides."""
    return max(BUFFER.place(used), *(() if disk is None else (DISK.place(disk),)), -1.0)


def settle_share(strain: float, before: float) -> float:
    """Say which share of requests is refused, from the strain and from the share that was refused before."""
    return max(_bound(strain), min(_bound(before), _bound(strain + RELIEF)))


def name_level(share: float) -> int:
    """Say it in a word for alarms: 0 nothing is refused, 1 some, 2 everything."""
    return 0 if share <= 0 else 1 if share < 1 else 2


def read_snapshot(found: bytes | None, now: datetime) -> Snapshot:
    """Read what was published; what is missing, garbled, of another version or not of this time is not believed."""
    if found is None:
        raise UnknownPressureError("nothing is published")
    try:
        snapshot = msgspec.json.decode(found, type=Snapshot)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnknownPressureError(f"what is published cannot be read: {error}") from error
    if snapshot.until <= now:
        raise UnknownPressureError(f"what is published was good until {snapshot.until}")
    if snapshot.measured_at > now + CLOCKS_DIFFER or snapshot.until > snapshot.measured_at + LONGEST_BELIEF:
        raise UnknownPressureError(f"what is published is of {snapshot.measured_at} and good until {snapshot.until}")
    return snapshot


def share_for_slowness(slowness: float) -> float:
    """Say which share a process refuses on its own account, because producing takes it too long."""
    return min(MOST_FOR_SLOWNESS, _bound(SLOWNESS.place(slowness)))


def advise(share: float, chance: Callable[[], float]) -> Advice | None:
    """Draw whether one request is refused, and what it is told then; the more are refused, the later they may come."""
    if chance() >= share:
        return None
    seconds = FIRST_RETRY_SECONDS + share * (LAST_RETRY_SECONDS - FIRST_RETRY_SECONDS)
    return Advice(round(max(LEAST_SAMPLE, 1 - share), 2), math.ceil(seconds * (0.5 + chance())))


def _bound(share: float) -> float:
    return min(1.0, max(0.0, share))
