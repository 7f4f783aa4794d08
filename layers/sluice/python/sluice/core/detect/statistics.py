"""What learn publishes of a device: the statistics of its series, in one compact form that detect reads.

The form crosses releases. New elements go to the end, with a default. A reader takes a later version for missing.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

VERSION = 1
LEAST_READINGS = 30
"""Fewer readings say too little about what is usual."""
HOUR_SECONDS = 3600
CELLS = 48
"""The hours of a working day, and then those of a day at the weekend, in UTC. A week has too few of each to tell more
of its hours apart."""


class Usual(msgspec.Struct, frozen=True, array_like=True):
    """The mean and the standard deviation of some readings."""

    mean: float
    deviation: float
    count: int


class SeriesStatistics(msgspec.Struct, frozen=True, array_like=True):
    """What is usual for one series of a device."""

    recent: Usual
    """The last hour before the statistics were computed, or the last day of a series that has few readings."""
    interval_seconds: float | None = None
    """The usual time between two readings."""
    low: float | None = None
    """The lowest reading of the last days; None until the device was learned, and while few hours are known."""
    high: float | None = None
    hours: tuple[Usual | None, ...] = ()
    """The baseline of some hours in a row, from `first_hour` on; empty until the device was learned."""


class DeviceStatistics(msgspec.Struct, frozen=True, array_like=True):
    """All statistics of one device."""

    version: int
    computed_at: float
    """Up to when readings are in it, in seconds since 1970."""
    first_hour: int
    """The first hour that `hours` has, counted since 1970."""
    series: dict[str, SeriesStatistics]
    device_type: str | None = None
    """The type that the directory gives the device; None: it has that of its fleet."""

    def hour_of(self, series: SeriesStatistics, moment: datetime) -> Usual | None:
        """Return the baseline of a moment's hour."""
        place = int(moment.timestamp()) // HOUR_SECONDS - self.first_hour
        return series.hours[place] if 0 <= place < len(series.hours) else None

    def computed(self) -> datetime:
        """Return up to when readings are in it."""
        return datetime.fromtimestamp(self.computed_at, UTC)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DeviceStatistics).decode


def write_statistics(statistics: DeviceStatistics) -> bytes:
    """Write the published form."""
    return _encode(statistics)


def read_statistics(data: bytes | None) -> DeviceStatistics | None:
    """Read the published form; what is missing, damaged or of a later version is no statistics."""
    if data is None:
        return None
    try:
        found = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if found.version == VERSION else None


def cell_of(moment: datetime) -> int:
    """Return the cell of a baseline to which a moment belongs."""
    utc = moment.astimezone(UTC)
    return (CELLS // 2 if utc.weekday() >= 5 else 0) + utc.hour


def list_hours(cells: Mapping[int, Usual], first_hour: int, many: int) -> tuple[Usual | None, ...]:
    """List the baselines of some hours in a row, for publishing."""
    moments = (datetime.fromtimestamp((first_hour + place) * HOUR_SECONDS, UTC) for place in range(many))
    return tuple(cells.get(cell_of(moment)) for moment in moments)
