"""The arithmetic of rules: how far a value is from the usual, and what that means for a rule.

detect and learn judge published statistics with it, and the rules of the backtest judge the readings before.
"""

import math
from collections.abc import Callable
from datetime import datetime

import msgspec

from sluice.core.detect.series_rules import RuleKind, SeriesRule
from sluice.core.detect.statistics import LEAST_READINGS, DeviceStatistics, SeriesStatistics, Usual
from sluice.core.detect.verdicts import State

FAR = 1e9
"""What is measured where the usual does not vary at all; an infinity has no JSON."""

RANGE_GRAINS = 10
"""How many steps of its sensor the range of a series has at least: one that stands still has no alarm for one step."""


class Measured(msgspec.Struct, frozen=True):
    """How far a reading is from the usual."""

    away: float
    """In the measure of the rule's `open`."""
    than: Usual | None = None
    """What it was compared with."""
    low: float = 0.0
    high: float = 0.0


def differs(one: float, other: float) -> bool:
    """Return whether two values differ by more than the error of adding up."""
    return abs(one - other) > 1e-9 * max(abs(one), abs(other))


def deviations_away(value: float, mean: float, deviation: float) -> float:
    """Return by how many standard deviations a value differs from a mean."""
    if not differs(value, mean):
        return 0.0
    return min(abs(value - mean) / deviation, FAR) if deviation else FAR


def range_away(value: float, low: float, high: float, least: float = 0.0) -> float:
    """Return how far a value is outside of a range, as a share of its width, which is taken for `least` at least."""
    nearest = min(max(value, low), high)
    if not differs(value, nearest):
        return 0.0
    width = max(high - low, least)
    return min(abs(value - nearest) / width, FAR) if width else FAR


def share_left(deviation: float, least: float) -> float | None:
    """Return which share of the least usual deviation is left; None if a series usually stands still."""
    return deviation / least if least else None


def state_of(rule: SeriesRule, away: float) -> State:
    """Return what a measure means: `open` is the farther from the usual, `clear` the nearer."""
    if rule.kind in ("below", "stuck"):
        return "breach" if away < rule.open else "clear" if away >= rule.clear else "between"
    return "breach" if away > rule.open else "clear" if away <= rule.clear else "between"


def measure_reading(
    rule: SeriesRule, value: float, at: datetime, known: tuple[DeviceStatistics, SeriesStatistics] | None, grain: float
) -> Measured | None:
    """Measure one reading; None if the rule cannot judge it, because statistics are missing or not yet learned.

    The grain is the resolution of the sensor: nothing finer is a deviation.
    """
    if not math.isfinite(value):
        return None
    if rule.kind in ("above", "below"):
        return Measured(value)
    if known is None:
        return None
    measure = _MEASURES.get(rule.kind)
    return measure(value, at, *known, grain) if measure is not None else None


def explain(rule: SeriesRule, value: float, unit: str, measured: Measured) -> str:
    """Say why a reading is a breach, for the person who is woken."""
    if rule.kind in ("above", "below"):
        return f"{value:.6g} {unit} is {rule.kind} the threshold of {rule.open:.6g} {unit}"
    if rule.kind == "range":
        return (
            f"{value:.6g} {unit} is outside of {measured.low:.6g} to {measured.high:.6g} {unit}, the range of the last"
            f" days, by {_write(measured.away)} of it; the rule allows {rule.open:.3g}"
        )
    when = "the last hour" if rule.kind == "zscore" else "this hour of the day in the last days"
    usual = measured.than
    than = f"the mean of {when}, {usual.mean:.6g} {unit}" if usual is not None else when
    away = f"{_write(measured.away)} standard deviations from {than}"
    return f"{value:.6g} {unit} is {away}; the rule allows {rule.open:.3g}"


def _from_recent(
    value: float, _at: datetime, _device: DeviceStatistics, series: SeriesStatistics, grain: float
) -> Measured | None:
    return _from_usual(value, series.recent, grain)


def _from_baseline(
    value: float, at: datetime, device: DeviceStatistics, series: SeriesStatistics, grain: float
) -> Measured | None:
    return _from_usual(value, device.hour_of(series, at), grain)


def _from_usual(value: float, usual: Usual | None, grain: float) -> Measured | None:
    if usual is None or usual.count < LEAST_READINGS or not is_known(usual.mean, usual.deviation):
        return None
    return Measured(deviations_away(value, usual.mean, max(usual.deviation, grain)), usual)


def _from_range(
    value: float, _at: datetime, _device: DeviceStatistics, series: SeriesStatistics, grain: float
) -> Measured | None:
    low, high = series.low, series.high
    if low is None or high is None or not is_known(low, high):
        return None
    return Measured(range_away(value, low, high, RANGE_GRAINS * grain), series.recent, low, high)


def is_known(*numbers: float | None) -> bool:
    """Return whether numbers can be compared with: NaN and infinities are missing statistics."""
    return all(number is not None and math.isfinite(number) for number in numbers)


def _write(number: float) -> str:
    return "far more than all" if number >= FAR else f"{number:.3g}"


_MEASURES: dict[RuleKind, Callable[..., Measured | None]] = {
    "zscore": _from_recent,
    "baseline": _from_baseline,
    "range": _from_range,
}
