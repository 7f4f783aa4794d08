"""Judging a series as a whole: its level, whether its sensor hangs, and whether its device is silent."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from sluice.core.detect.judging import deviations_away, is_known, share_left, state_of
from sluice.core.detect.learned import DAY_HOURS, LEAST_HOURS, Baseline, LearnedDevice, LearnedSeries
from sluice.core.detect.series_rules import SeriesRule
from sluice.core.detect.statistics import HOUR_SECONDS, LEAST_READINGS, Usual
from sluice.core.detect.verdicts import Judged, Statistics, Verdict
from sluice.core.events.units import SeriesBook

ASLEEP_SHARE, ASLEEP_DEVICES = 0.5, 10
"""A fleet of so many devices is asleep when this share of those that should send is silent."""
NO_PARTITION = -1
SHORTEST_GAP = 60.0
"""Silence is seen by minutes."""


class Silence(msgspec.Struct, frozen=True):
    """How long a device has been silent in hours in which it usually sends."""

    seconds: float
    interval: float

    @property
    def away(self) -> float:
        """How many usual intervals that is."""
        return self.seconds / self.interval


def measure_level(series: LearnedSeries, grain: float) -> tuple[float, Usual] | None:
    """Measure how far the mean of the last hour is from those of the days before, and what it was compared with."""
    baseline, hour = _comparable(series)
    if baseline is None or hour is None or baseline.hour_count < LEAST_HOURS:
        return None
    # The mean of a few readings varies more than that of an hour.
    if hour.count * baseline.interval_seconds * 2 < HOUR_SECONDS:
        return None
    usual = Usual(baseline.hour_mean, baseline.hour_deviation, baseline.hour_count)
    return deviations_away(hour.mean, usual.mean, max(usual.deviation, grain)), usual


def measure_stuck(series: LearnedSeries) -> tuple[float, Usual] | None:
    """Measure which share of the least usual deviation within an hour is left, and what it was compared with."""
    baseline, hour = _comparable(series)
    if baseline is None or hour is None or hour.count < LEAST_READINGS:
        return None
    left = share_left(hour.deviation, baseline.least_deviation)
    return None if left is None else (left, Usual(hour.mean, baseline.least_deviation, hour.count))


def measure_silence(device: LearnedDevice, until: datetime) -> Silence | None:
    """Measure how long a device has been silent; None if it is not learned, or does not usually send at this time."""
    baselines = [one.baseline for one in device.series if one.baseline is not None and one.learned]
    last_sent = device.last_sent(until)
    if not baselines or last_sent is None:
        return None
    active = 0
    for baseline in baselines:
        active |= baseline.active_hours
    awake_since = _find_awake_since(active, until)
    if awake_since is None:
        return None
    interval = max(min(max(one.interval_seconds, one.gap_seconds) for one in baselines), SHORTEST_GAP)
    return Silence(max((until - max(last_sent, awake_since)).total_seconds(), 0.0), interval)


def judge_series(
    device: LearnedDevice, series: LearnedSeries, rule: SeriesRule, book: SeriesBook, until: datetime, every: timedelta
) -> Verdict | None:
    """Judge one series by a rule of level or stuck, as it is judged every so often; None if that cannot be said."""
    known = book.series.get(series.metric)
    if known is None or series.hour is None:
        return None
    measured = measure_level(series, known.resolution) if rule.kind == "level" else measure_stuck(series)
    if measured is None:
        return None
    away, usual = measured
    value = series.hour.mean if rule.kind == "level" else series.hour.deviation
    why = _explain_level if rule.kind == "level" else _explain_stuck
    return _write(device, rule, known.unit, until, value, away, usual, every, why(rule, value, known.unit, away, usual))


def judge_silence(
    device: LearnedDevice, rule: SeriesRule, silence: Silence, until: datetime, every: timedelta
) -> Verdict:
    """Judge the silence of a device, as it is judged every so often."""
    why = (
        f"the device has been silent for {write_period(silence.seconds)}, {silence.away:.3g} of its usual intervals of"
        f" {write_period(silence.interval)}; everything that it sent before {until:%H:%M} UTC has been counted"
    )
    return _write(device, rule, "s", until, silence.seconds, silence.away, None, every, why)


def is_asleep(expected: int, silent: int) -> bool:
    """Return whether a fleet is asleep: so many of its devices are silent that no device is to blame."""
    return expected >= ASLEEP_DEVICES and silent > ASLEEP_SHARE * expected


def find_asleep(shards: Mapping[int, Mapping[str, Sequence[int]]]) -> frozenset[str]:
    """Find the fleets that are asleep, from the counts (expected, silent) of all shards."""
    expected, silent = Counter[str](), Counter[str]()
    for fleets in shards.values():
        for fleet_id, (awake, without) in fleets.items():
            expected[fleet_id] += awake
            silent[fleet_id] += without
    return frozenset(fleet_id for fleet_id, count in expected.items() if is_asleep(count, silent[fleet_id]))


def write_period(seconds: float) -> str:
    """Write a period in the unit that suits it."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"


def _comparable(series: LearnedSeries) -> tuple[Baseline | None, Usual | None]:
    baseline, hour = series.baseline, series.hour
    if not series.learned or baseline is None or hour is None:
        return None, None
    numbers = (hour.mean, hour.deviation, baseline.hour_mean, baseline.hour_deviation, baseline.least_deviation)
    return (baseline, hour) if is_known(*numbers) else (None, None)


def _find_awake_since(active: int, until: datetime) -> datetime | None:
    """Find since when the device has usually been sending; None at an hour in which it usually does not."""
    hour = until.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if not active >> hour.hour & 1:
        return None
    for _ in range(DAY_HOURS):
        before = hour - timedelta(hours=1)
        if not active >> before.hour & 1:
            return hour
        hour = before
    # It sends around the clock: no silence was usual.
    return datetime.min.replace(tzinfo=UTC)


def _write(
    device: LearnedDevice,
    rule: SeriesRule,
    unit: str,
    until: datetime,
    value: float,
    away: float,
    usual: Usual | None,
    every: timedelta,
    why: str,
) -> Verdict:
    state = state_of(rule, away)
    # The time of the statistics, not of the run: what is judged twice is taken once.
    position = int(until.timestamp() * 1000)
    return Verdict(
        fleet_id=device.fleet_id,
        device_id=device.device_id,
        metric=rule.metric,
        unit=unit,
        rule_id=rule.rule_id,
        rule_version=rule.version,
        kind=rule.kind,
        open=rule.open,
        clear=rule.clear,
        breaches=rule.breaches,
        of=rule.of,
        severity=rule.severity,
        source="statistics",
        partition=NO_PARTITION,
        received_at=until,
        readings=(Judged(position, until, value, state, away, why=why if state == "breach" else ""),),
        statistics=None if usual is None else Statistics(usual.mean, usual.deviation, usual.count, until),
        # Between two runs, and not between two readings: alert counts the breaches among the latest runs.
        interval_seconds=every.total_seconds(),
    )


def _explain_level(rule: SeriesRule, value: float, unit: str, away: float, usual: Usual) -> str:
    return (
        f"the mean of the last hour is {value:.6g} {unit}, {away:.3g} standard deviations from the mean of"
        f" {usual.count} hours before, {usual.mean:.6g} {unit}; the rule allows {rule.open:.3g}"
    )


def _explain_stuck(rule: SeriesRule, value: float, unit: str, away: float, usual: Usual) -> str:
    return (
        f"the readings of the last hour have a standard deviation of {value:.3g} {unit}, {away:.3g} of the least that"
        f" an hour of the days before had ({usual.deviation:.3g} {unit}); the rule asks for {rule.open:.3g}"
    )
