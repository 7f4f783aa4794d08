"""Between which values no rule has anything to say of a series: nearly every reading ends here, at little cost.

Only what is outside is measured. Bounds hold for one hour, because baselines differ by the hour.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import inf

import msgspec

from sluice.core.detect.judging import RANGE_GRAINS, Measured, measure_reading
from sluice.core.detect.readings import Readings
from sluice.core.detect.series_rules import SeriesRule
from sluice.core.detect.statistics import HOUR_SECONDS, DeviceStatistics, SeriesStatistics

HOUR = timedelta(seconds=HOUR_SECONDS)
MARGIN = 1e-9
"""What the measure itself takes for equal is left to it."""

_EVERYTHING = (-inf, inf)


class Bounds(msgspec.Struct):
    """Of one device, in one hour."""

    statistics: DeviceStatistics | None
    since: datetime
    until: datetime
    limits: dict[str, tuple[float, float]]
    """The lowest and the highest value of each series of which nothing is said."""

    def hold(self, statistics: DeviceStatistics | None, events: Sequence[Readings]) -> bool:
        """Return whether they were made from these statistics, for the hour of these events."""
        return self.statistics is statistics and all(self.since <= event.at < self.until for event in events)

    def have(self, events: Sequence[Readings]) -> bool:
        """Return whether no rule has anything to say of events; no, if one of their series has no limits here."""
        limits = self.limits
        for event in events:
            for metric, value in event.metrics.items():
                low, high = limits.get(metric, (inf, -inf))
                if not low <= value <= high:
                    return False
        return True


def begin_bounds(statistics: DeviceStatistics | None, moment: datetime) -> Bounds:
    """Begin the bounds of the hour of a moment; the limits of its series are to be added."""
    since = datetime.fromtimestamp(int(moment.timestamp()) // HOUR_SECONDS * HOUR_SECONDS, UTC)
    return Bounds(statistics, since, since + HOUR, {})


def find_limits(
    rules: Sequence[SeriesRule], at: datetime, pair: tuple[DeviceStatistics, SeriesStatistics] | None, grain: float
) -> tuple[float, float]:
    """Return between which values no rule calls a reading of a series a breach."""
    found = [_limits_of(rule, at, pair, grain) for rule in rules]
    return max((low for low, _ in found), default=-inf), min((high for _, high in found), default=inf)


def _limits_of(
    rule: SeriesRule, at: datetime, pair: tuple[DeviceStatistics, SeriesStatistics] | None, grain: float
) -> tuple[float, float]:
    # Any value shows whether the rule can judge, and what it compares with.
    measured = measure_reading(rule, 0.0, at, pair, grain)
    if measured is None:
        return _EVERYTHING
    if rule.kind == "above":
        return -inf, rule.open
    if rule.kind == "below":
        return rule.open, inf
    low, high = _middle(rule, measured, grain)
    margin = MARGIN * max(abs(low), abs(high))
    return low + margin, high - margin


def _middle(rule: SeriesRule, measured: Measured, grain: float) -> tuple[float, float]:
    if rule.kind == "range":
        beyond = rule.open * max(measured.high - measured.low, RANGE_GRAINS * grain)
        return measured.low - beyond, measured.high + beyond
    usual = measured.than
    if usual is None:
        return inf, -inf
    beyond = rule.open * max(usual.deviation, grain)
    return usual.mean - beyond, usual.mean + beyond
