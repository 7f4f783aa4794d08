"""Bounds spare most readings their judgement, and never hide what a rule would say."""

from collections.abc import Sequence
from datetime import timedelta
from math import inf, nan

from hypothesis import given
from hypothesis import strategies as st

from sluice.core.detect.bounds import begin_bounds, find_limits
from sluice.core.detect.judging import measure_reading, state_of
from sluice.core.detect.series_rules import OF_READINGS, SeriesRule
from sluice.core.detect.statistics import VERSION, DeviceStatistics, SeriesStatistics, Usual
from tests.unit.core.detect.test_device_readings import NOON, STATISTICS, events

NUMBERS = st.floats(-1e6, 1e6) | st.sampled_from([nan, inf, 0.0, 20.0, 20.1])
USUAL = st.builds(Usual, NUMBERS, st.floats(0, 1e3) | st.just(nan), st.integers(0, 100))
SERIES = st.builds(
    SeriesStatistics, USUAL, st.none(), st.none() | NUMBERS, st.none() | NUMBERS, st.tuples(st.none() | USUAL)
)
RULES = st.builds(
    lambda kind, opens: SeriesRule(
        fleet_id="demo", rule_id="one", version=1, metric="cpu_temp", kind=kind, open=opens, clear=opens
    ),
    st.sampled_from(OF_READINGS),
    st.floats(0, 50),
)


@given(st.lists(RULES, max_size=4), st.none() | SERIES, st.sampled_from([0.0, 0.1]), NUMBERS, st.booleans())
def test_what_is_within_bounds_is_no_breach_of_any_rule(
    rules: Sequence[SeriesRule], series: SeriesStatistics | None, grain: float, value: float, at_edge: bool
) -> None:
    device = DeviceStatistics(VERSION, NOON.timestamp(), int(NOON.timestamp()) // 3600, {})
    pair = (device, series) if series is not None else None
    low, high = find_limits(rules, NOON, pair, grain)
    if at_edge and low > -inf:
        value = low
    if low <= value <= high:
        for rule in rules:
            measured = measure_reading(rule, value, NOON, pair, grain)
            assert measured is None or state_of(rule, measured.away) != "breach"


def test_usual_readings_are_within_bounds_and_breaches_are_not() -> None:
    rule = SeriesRule(fleet_id="demo", rule_id="one", version=1, metric="cpu_temp", kind="range", open=0.25, clear=0.1)
    bounds = begin_bounds(STATISTICS, NOON)
    bounds.limits["cpu_temp"] = find_limits([rule], NOON, (STATISTICS, STATISTICS.series["cpu_temp"]), 0.1)
    # A series of which no limits are known yet may be anything.
    assert not bounds.have(events(50))
    bounds.limits["humidity"] = find_limits([], NOON, None, 0.1)
    assert bounds.have(events(50, 57.4, 42.6))
    assert not bounds.have(events(50, 57.6))
    assert not bounds.have(events(nan))


def test_bounds_hold_for_their_hour_and_their_statistics() -> None:
    bounds = begin_bounds(STATISTICS, NOON + timedelta(minutes=59))
    assert (bounds.since, bounds.until) == (NOON, NOON + timedelta(hours=1))
    assert bounds.hold(STATISTICS, events(50, 51))
    assert not bounds.hold(None, events(50))
    late = [event for event in events(*[50.0] * 3601) if event.at >= NOON + timedelta(hours=1)]
    assert not bounds.hold(STATISTICS, late)
