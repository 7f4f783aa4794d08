"""Pressure: which share of requests is refused so that the brokers never have to refuse all of them.

Each measure is placed on one scale: below 0 nothing is refused, at 1 everything is. The refused share rises with the
scale at once. It falls only after the scale has fallen by a margin (hysteresis).
"""

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec

from sluice.core.consumers import PRESSING
from sluice.core.errors import Advice

RELIEF = 0.4
"""The hysteresis, on the scale: how far below a share's threshold the scale must fall before the share falls."""
LEAST_SAMPLE = 0.05
"""The lowest share that devices are advised to send: readings thinned to it still show what happened."""
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 5, 60
MOST_FOR_SLOWNESS = 0.9
"""One request in ten is still accepted: it shows when producing is fast again."""
LONGEST_BELIEF = timedelta(minutes=10)
CLOCKS_DIFFER = timedelta(minutes=1)


class Ramp(msgspec.Struct, frozen=True):
    """The value at which a measure begins to count, and the value at which everything is refused."""

    begins: float
    full: float

    def place(self, measured: float) -> float:
        """Place a measure on the scale."""
        return (measured - self.begins) / (self.full - self.begins)


BUFFER = Ramp(0.5, 0.75)
"""Share of the time a record may wait for archive: of four hours, raw's store may be down for two with no refusal."""
DISK = Ramp(70, 85)
"""Percent of the fullest broker's disk; the brokers stop when it is full."""
SLOWNESS = Ramp(0.5, 1)
"""Share of the time that producing may take."""


class Snapshot(msgspec.Struct, frozen=True):
    """The published snapshot: the share of requests to refuse, and how long it stays valid."""

    measured_at: Annotated[datetime, msgspec.Meta(tz=True)]
    until: Annotated[datetime, msgspec.Meta(tz=True)]
    share: Annotated[float, msgspec.Meta(ge=0, le=1)]
    version: Literal[1]


class UnknownPressureError(Exception):
    """No valid pressure snapshot exists."""


def measure_use(waits: Mapping[str, float], buffer_seconds: float) -> float:
    """Return which part of the buffer's time the oldest unread record of a pressing consumer has used."""
    return max(waits[consumer.name] for consumer in PRESSING) / buffer_seconds


def measure_strain(used: float, disk: float | None) -> float:
    """Place the buffer and the disk on the scale; the higher value decides."""
    return max(BUFFER.place(used), *(() if disk is None else (DISK.place(disk),)), -1.0)


def settle_share(strain: float, before: float) -> float:
    """Return the share of requests to refuse, from the strain and from the previous share."""
    return max(_bound(strain), min(_bound(before), _bound(strain + RELIEF)))


def name_level(share: float) -> int:
    """Return the level for alarms: 0 nothing is refused, 1 some, 2 everything."""
    return 0 if share <= 0 else 1 if share < 1 else 2


def read_snapshot(found: bytes | None, now: datetime) -> Snapshot:
    """Read the published snapshot; one that is missing, unreadable, of another version or not valid now is an error."""
    if found is None:
        raise UnknownPressureError("nothing is published")
    try:
        snapshot = msgspec.json.decode(found, type=Snapshot)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnknownPressureError(f"the published snapshot cannot be read: {error}") from error
    if snapshot.until <= now:
        raise UnknownPressureError(f"the published snapshot was valid until {snapshot.until}")
    if snapshot.measured_at > now + CLOCKS_DIFFER or snapshot.until > snapshot.measured_at + LONGEST_BELIEF:
        raise UnknownPressureError(f"the snapshot is of {snapshot.measured_at} and valid until {snapshot.until}")
    return snapshot


def share_for_slowness(slowness: float) -> float:
    """Return the share that one process refuses because its own producing is slow."""
    return min(MOST_FOR_SLOWNESS, _bound(SLOWNESS.place(slowness)))


def advise(share: float, chance: Callable[[], float]) -> Advice | None:
    """Draw whether to refuse one request, and return its advice: the higher the share, the later the retry."""
    if chance() >= share:
        return None
    seconds = FIRST_RETRY_SECONDS + share * (LAST_RETRY_SECONDS - FIRST_RETRY_SECONDS)
    return Advice(round(max(LEAST_SAMPLE, 1 - share), 2), math.ceil(seconds * (0.5 + chance())))


def _bound(share: float) -> float:
    return min(1.0, max(0.0, share))
