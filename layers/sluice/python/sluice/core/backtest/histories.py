"""What was stored of a device, and what learn knew of it at a moment: nothing that came later."""

import itertools
from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from sluice.core.backtest.windows import DAY_MINUTES, HOUR_MINUTES, MINUTE_SECONDS, Windows, minute_of, moment_of
from sluice.core.detect.learned import MOVED_DEVIATIONS, MOVED_UNNOTICED, Baseline, LearnedDevice, LearnedSeries
from sluice.core.detect.statistics import LEAST_READINGS, Usual

GAP_SHARE = 0.95
"""So many of the gaps between the minutes of a day are shorter than the usual gap."""
SLOW_HOURS = 25
"""Where the last hour has few readings, those of so many hours are taken."""


class DayBaseline(msgspec.Struct, frozen=True):
    """The baseline of a series, as learn computes it once a day."""

    computed_at: datetime
    since: datetime
    """From when on readings count."""
    baseline: Baseline


class SeriesHistory(msgspec.Struct, frozen=True):
    """One series."""

    metric: str
    minutes: Windows
    baselines: Sequence[DayBaseline] = ()
    """The oldest first."""
    hours: Windows = Windows()


class DeviceHistory(msgspec.Struct, frozen=True):
    """One device: the series that a rule needs, or all of them for silence."""

    fleet_id: str
    device_id: str
    first_seen_at: datetime
    series: Sequence[SeriesHistory]
    changes: Sequence[datetime] = ()
    """When it first reported each firmware, the oldest first."""
    sent: Sequence[int] = ()
    """The minutes in which it sent readings of any series. Silence needs these, and no minutes of the series."""
    seen_before: datetime | None = None
    """When it was seen last, if that was before all minutes that are known of it."""


def learn_at(history: DeviceHistory, until: datetime, learning: timedelta) -> LearnedDevice:
    """Return what learn knew of a device at a moment up to which everything was rolled."""
    minute = minute_of(until)
    place = bisect_left(history.sent, minute)
    seen_at = moment_of(history.sent[place - 1] + 1) if place else history.seen_before
    series = [_learn_series(history, one, until, minute, learning) for one in history.series]
    return LearnedDevice(history.fleet_id, history.device_id, seen_at, series)


def measure_gap(sent: Sequence[int], until: int) -> float | None:
    """Measure the usual gap between the minutes of a day, in seconds; None with fewer than two minutes."""
    minutes = sent[bisect_left(sent, until - DAY_MINUTES) : bisect_left(sent, until)]
    gaps = sorted(later - earlier for earlier, later in itertools.pairwise(minutes))
    if not gaps:
        return None
    place = GAP_SHARE * (len(gaps) - 1)
    below = int(place)
    above = min(below + 1, len(gaps) - 1)
    return (gaps[below] + (place - below) * (gaps[above] - gaps[below])) * MINUTE_SECONDS


def with_gap(found: DayBaseline, sent: Sequence[int]) -> DayBaseline:
    """Measure the gap of a baseline again: when it is computed late, the minutes of its day have left the database."""
    gap = measure_gap(sent, minute_of(found.computed_at))
    gap = found.baseline.interval_seconds if gap is None else gap
    return replace(found, baseline=replace(found.baseline, gap_seconds=gap))


def _learn_series(
    history: DeviceHistory, series: SeriesHistory, until: datetime, minute: int, learning: timedelta
) -> LearnedSeries:
    minutes = series.minutes
    last = minutes.find(minute)
    hour = minutes.merge(minutes.find(minute - HOUR_MINUTES), last)
    recent = hour
    if hour is not None and hour.count < LEAST_READINGS:
        hours = series.hours
        first = hours.find(minute - SLOW_HOURS * HOUR_MINUTES)
        recent = hours.merge(first, hours.find(minute - HOUR_MINUTES + 1)) or hour
    baseline = next((each for each in reversed(series.baselines) if each.computed_at <= until), None)
    return LearnedSeries(
        metric=series.metric,
        recent=recent,
        hour=hour,
        last_minute=moment_of(minutes.at[last - 1]) if hour is not None else None,
        learned=baseline is not None and _is_learned(history, baseline, recent, until, learning),
        baseline=None if baseline is None else baseline.baseline,
    )


def _is_learned(
    history: DeviceHistory, found: DayBaseline, recent: Usual | None, until: datetime, learning: timedelta
) -> bool:
    """Return whether the device and its level were there for long enough, and no firmware has moved the level since."""
    if found.since > until - learning or history.first_seen_at > until - learning:
        return False
    changed_at = max((each for each in history.changes if each <= until), default=None)
    if recent is None or changed_at is None or changed_at <= history.first_seen_at:
        return True
    moved = abs(recent.mean - found.baseline.hour_mean) > MOVED_DEVIATIONS * found.baseline.hour_deviation
    return not (moved and changed_at > found.computed_at - MOVED_UNNOTICED)
