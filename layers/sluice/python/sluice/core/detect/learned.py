"""What learn reads of the series of a device, and what it publishes of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from sluice.core.detect.statistics import (
    CELLS,
    HOUR_SECONDS,
    VERSION,
    DeviceStatistics,
    SeriesStatistics,
    Usual,
    list_hours,
)

HOURS_BEFORE, HOURS_AFTER = 1, 6
"""The hours whose baselines are published: of an event that comes in an hour late, and until statistics expire."""
SIGHTED_EVERY = timedelta(minutes=10)
"""How much later than its last sighting a device may have sent."""
DAY_HOURS = 24
LEAST_HOURS = 24
"""Fewer hours show neither how the mean of an hour varies, nor the range of a day."""
MOVED_DEVIATIONS = 3.0
"""By so many standard deviations of its hours a level must change with the firmware to be learned anew."""
MOVED_UNNOTICED = timedelta(hours=3)
"""A baseline does not show yet that a firmware moved the level if it came this shortly before."""


class Baseline(msgspec.Struct, frozen=True):
    """What the readings of the last days were like."""

    counts: Sequence[int]
    means: Sequence[float]
    deviations: Sequence[float]
    low: float
    high: float
    hour_count: int
    hour_mean: float
    hour_deviation: float
    least_deviation: float
    interval_seconds: float
    gap_seconds: float
    active_hours: int

    def cells(self) -> dict[int, Usual]:
        """Return the baselines by cell."""
        rows = zip(range(CELLS), self.counts, self.means, self.deviations, strict=True)
        return {cell: Usual(mean, deviation, count) for cell, count, mean, deviation in rows}


class LearnedSeries(msgspec.Struct, frozen=True):
    """One series of a device, up to the moment until which its shard is rolled."""

    metric: str
    recent: Usual | None
    """The last hour, or a day if the hour has few readings; None without a reading in the hour."""
    hour: Usual | None
    """The last hour alone."""
    last_minute: datetime | None
    learned: bool
    """Whether the device, and the level of this series, were there for long enough to judge by the baseline."""
    baseline: Baseline | None


class LearnedDevice(msgspec.Struct, frozen=True):
    """One device."""

    fleet_id: str
    device_id: str
    last_seen_at: datetime | None
    """True to some minutes."""
    series: Sequence[LearnedSeries]
    device_type: str | None = None
    """Its own, from the directory."""

    def last_sent(self, until: datetime) -> datetime | None:
        """Return the latest time at which the device may have sent; None if it never did."""
        minutes = [one.last_minute + timedelta(minutes=1) for one in self.series if one.last_minute is not None]
        if minutes or self.last_seen_at is None:
            return max([*minutes, *([self.last_seen_at] if self.last_seen_at is not None else [])], default=None)
        # No minute of the last hour has a reading of it.
        return max(self.last_seen_at, min(self.last_seen_at + SIGHTED_EVERY, until - timedelta(hours=1)))


def describe_device(device: LearnedDevice, until: datetime) -> DeviceStatistics:
    """Make what is published of a device."""
    first_hour = int(until.timestamp()) // HOUR_SECONDS - HOURS_BEFORE
    series = {}
    for one in device.series:
        baseline, recent = one.baseline, one.recent
        if recent is None:
            if baseline is None:
                continue
            # No reading in the last hour: too few to compare with, while the baseline still holds.
            recent = Usual(baseline.hour_mean, baseline.hour_deviation, 0)
        interval = baseline.interval_seconds if baseline is not None else _interval_of(one.hour)
        if baseline is None or not one.learned:
            series[one.metric] = SeriesStatistics(recent, interval)
            continue
        hours = list_hours(baseline.cells(), first_hour, HOURS_BEFORE + 1 + HOURS_AFTER)
        known = baseline.hour_count >= LEAST_HOURS
        low, high = (baseline.low, baseline.high) if known else (None, None)
        series[one.metric] = SeriesStatistics(recent, interval, low, high, hours)
    return DeviceStatistics(VERSION, until.timestamp(), first_hour, series, device.device_type)


def usual_from(moments: Sequence[float] | None) -> Usual | None:
    """Read {count, sum, summed squares of the distances from the mean} as the database merges them."""
    if not moments or moments[0] < 1:
        return None
    count, total, squares = moments
    return Usual(total / count, (max(squares, 0.0) / count) ** 0.5, int(count))


def _interval_of(hour: Usual | None) -> float | None:
    return HOUR_SECONDS / hour.count if hour is not None else None
