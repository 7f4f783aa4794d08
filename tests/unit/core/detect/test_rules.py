"""What each rule finds in a series, and what it leaves alone."""

import math
import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.core.detect.history import Extremes, Spread
from sluice.core.detect.incidents import QUIET, open_incidents
from sluice.core.detect.rules import Daytime, Level, Range, Reading, Rule, Stuck, default_rules

START, APART = datetime(2026, 11, 2, tzinfo=UTC), timedelta(minutes=5)
DAY = timedelta(days=1) // APART


def series(values: Iterable[float]) -> list[Reading]:
    return [Reading(START + number * APART, value) for number, value in enumerate(values)]


def breaches(rule: Rule, values: Iterable[float]) -> list[int]:
    return [number for number, reading in enumerate(series(values)) if rule.judge(reading) is not None]


def noise(count: int, seed: int = 1, deviation: float = 1.0) -> list[float]:
    draw = random.Random(seed)
    return [draw.gauss(50, deviation) for _ in range(count)]


def daily(days: int, deviation: float = 0.5) -> list[float]:
    return [
        value + 20 * math.sin(2 * math.pi * number / DAY)
        for number, value in enumerate(noise(days * DAY, 2, deviation))
    ]


def test_a_step_is_a_breach_of_level_within_six_readings() -> None:
    found = breaches(Level(), [*noise(600), *(value + 8 for value in noise(50, 3))])
    assert 600 <= found[0] < 606


def test_one_spike_is_a_breach_of_range_at_its_reading_and_not_of_level() -> None:
    values = noise(600)
    values[500] = 90.0
    assert breaches(Range(), values) == [500]
    assert breaches(Level(), [*values[:500], 60.0, *values[501:]]) == []


def test_what_is_usual_in_the_evening_is_a_breach_of_daytime_in_the_morning() -> None:
    values = daily(7)
    shifted = values[: 6 * DAY] + [values[number + DAY // 2] for number in range(6 * DAY, 6 * DAY + DAY // 4)]
    found = breaches(Daytime(), shifted)
    assert 6 * DAY <= found[0] < 6 * DAY + 24
    assert breaches(Range(), shifted) == []


def test_a_series_that_does_not_follow_the_day_is_left_alone_by_daytime() -> None:
    assert breaches(Daytime(), [*noise(6 * DAY), *(value + 8 for value in noise(DAY, 3))]) == []


def test_a_sensor_that_hangs_is_a_breach_of_stuck() -> None:
    found = breaches(Stuck(), [*noise(900), *[50.0] * 60])
    assert 900 < found[0] < 960


@pytest.mark.parametrize("rule", [Level, Range, Daytime, Stuck])
def test_noise_and_a_day_like_the_others_and_a_constant_are_no_breaches(rule: Callable[[], Rule]) -> None:
    assert breaches(rule(), daily(9)) == []
    assert breaches(rule(), [5.0] * 2000) == []
    assert breaches(rule(), [0.1 + 0.2] * 1000 + [0.3] * 1000) == []


def test_one_trouble_opens_one_incident_and_the_next_one_another() -> None:
    values = noise(2000)
    values[700:720] = [500.0] * 20
    values[1500] = -900.0
    found = list(open_incidents(series(values), default_rules()))
    assert [opened.number for opened in found] == [700, 1500]
    assert found[0].why.startswith("the reading is 500; the 700 before were ")
    assert found[1].number - found[0].number > QUIET


def test_a_reading_is_judged_by_those_before_it_alone() -> None:
    values = [*noise(700), *(value + 9 for value in noise(300, 4))]
    whole = [opened.number for opened in open_incidents(series(values), default_rules())]
    for end in (705, 800, 1000):
        part = [opened.number for opened in open_incidents(series(values[:end]), default_rules())]
        assert part == [number for number in whole if number < end]


@given(
    st.lists(st.floats(-1e15, 1e15), max_size=200).flatmap(st.permutations),
    st.integers(1, 30),
)
def test_what_is_remembered_is_what_the_latest_values_say(values: list[float], most: int) -> None:
    spread, extremes = Spread(most), Extremes(most)
    for number, value in enumerate(values):
        spread.add(value)
        extremes.add(value)
        latest = values[max(0, number + 1 - most) : number + 1]
        assert (extremes.low, extremes.high, len(extremes)) == (min(latest), max(latest), len(latest))
        assert len(spread) == len(latest)
        width = max(map(abs, values))
        assert spread.mean == pytest.approx(math.fsum(latest) / len(latest), rel=1e-9, abs=1e-12 * width)


@given(st.lists(st.floats(-1e15, 1e15), max_size=100))
def test_no_series_breaks_a_rule(values: list[float]) -> None:
    assert sum(1 for _ in open_incidents(series(values * 12), default_rules())) <= 1 + 12 * len(values) // QUIET
