"""What is said of a series as a whole: its level, a sensor that hangs, and silence, told apart from a late pipeline."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from sluice.core.alerts.series import Series, add_reading
from sluice.core.detect.defaults import default_rules_for, list_defaults
from sluice.core.detect.judging_series import (
    NO_PARTITION,
    find_asleep,
    judge_series,
    judge_silence,
    measure_level,
    measure_silence,
    measure_stuck,
    write_period,
)
from sluice.core.detect.learned import Baseline, LearnedDevice, LearnedSeries, describe_device, usual_from
from sluice.core.detect.series_rules import SeriesRule
from sluice.core.detect.statistics import Usual
from sluice.core.probe.event import FLEET as PROBE_FLEET
from tests.support import samples

UNTIL = datetime(2026, 11, 30, 12, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ALWAYS = 2**24 - 1
BASELINE = Baseline(
    counts=[2520] * 48,
    means=[50.0 + cell for cell in range(48)],
    deviations=[1.0] * 48,
    low=40.0,
    high=60.0,
    hour_count=168,
    hour_mean=50.0,
    hour_deviation=2.0,
    least_deviation=0.8,
    interval_seconds=10.0,
    gap_seconds=60.0,
    active_hours=ALWAYS,
)


def series(
    mean: float = 50.0,
    deviation: float = 1.0,
    count: int = 360,
    *,
    learned: bool = True,
    last: datetime | None = UNTIL - MINUTE,
    **baseline: Any,
) -> LearnedSeries:
    hour = Usual(mean, deviation, count)
    return LearnedSeries("cpu_temp", hour, hour, last, learned, msgspec.structs.replace(BASELINE, **baseline))


def device(*listed: LearnedSeries, seen: datetime | None = UNTIL - timedelta(hours=3)) -> LearnedDevice:
    return LearnedDevice("demo", "press-1", seen, listed)


def silent(last: datetime | None, seen: datetime | None = UNTIL - timedelta(hours=3), **baseline: Any) -> LearnedDevice:
    one = series(last=last, **baseline)
    if last is None:
        one = msgspec.structs.replace(one, recent=None, hour=None)
    return device(one, seen=seen)


def rule(kind: Any, opens: float, clears: float, metric: str = "cpu_temp") -> SeriesRule:
    return SeriesRule(fleet_id="demo", rule_id="one", version=1, metric=metric, kind=kind, open=opens, clear=clears)


@pytest.mark.parametrize(("mean", "state"), [(59.0, "breach"), (55.0, "between"), (53.0, "clear"), (41.0, "breach")])
def test_a_level_is_the_mean_of_an_hour_against_those_of_the_days_before(mean: float, state: str) -> None:
    one = series(mean)
    verdict = judge_series(device(one), one, rule("level", 4, 2), samples.contracts().book, UNTIL, 5 * MINUTE)
    assert verdict is not None
    (reading,) = verdict.readings
    assert (reading.state, reading.value, reading.at) == (state, mean, UNTIL)
    # What is judged twice has the same position: alert takes it once.
    assert (verdict.partition, reading.position) == (NO_PARTITION, int(UNTIL.timestamp() * 1000))
    assert bool(verdict.readings[0].why) == (state == "breach")


def test_a_level_is_not_judged_by_few_readings_few_hours_or_what_is_no_number() -> None:
    assert measure_level(series(count=180), 0.1) is not None
    assert measure_level(series(count=179), 0.1) is None
    assert measure_level(series(hour_count=23), 0.1) is None
    assert measure_level(series(learned=False), 0.1) is None
    for number in (math.nan, math.inf):
        assert measure_level(series(mean=number), 0.1) is None
        assert measure_level(series(hour_deviation=number), 0.1) is None


def test_a_sensor_hangs_if_its_readings_vary_much_less_than_in_any_hour_before() -> None:
    hangs, quiet = series(deviation=0.01), series(deviation=0.5)
    verdict = judge_series(device(hangs), hangs, rule("stuck", 0.05, 0.2), samples.contracts().book, UNTIL, 5 * MINUTE)
    assert verdict is not None
    assert [one.state for one in verdict.readings] == ["breach"]
    assert "0.0125 of the least" in verdict.readings[0].why
    verdict = judge_series(device(quiet), quiet, rule("stuck", 0.05, 0.2), samples.contracts().book, UNTIL, 5 * MINUTE)
    assert verdict is not None
    assert [one.state for one in verdict.readings] == ["clear"]


def test_a_series_that_usually_stands_still_does_not_hang() -> None:
    assert measure_stuck(series(deviation=0.0, least_deviation=0.0)) is None
    assert measure_stuck(series(deviation=0.0, count=29)) is None
    assert measure_stuck(series(deviation=0.0, learned=False)) is None


def test_silence_is_counted_in_usual_intervals_up_to_what_is_rolled_and_not_up_to_now() -> None:
    silence = measure_silence(silent(UNTIL - 16 * MINUTE), UNTIL)
    assert silence is not None
    assert (silence.seconds, silence.interval, silence.away) == (900.0, 60.0, 15.0)
    made = rule("silence", 10, 2, "")
    verdict = judge_silence(silent(UNTIL - 16 * MINUTE), made, silence, UNTIL, 5 * MINUTE)
    assert [one.state for one in verdict.readings] == ["breach"]
    assert (verdict.metric, verdict.unit) == ("", "s")
    assert verdict.readings[0].why.startswith(
        "the device has been silent for 15 min, 15 of its usual intervals of 60 s;"
    )
    # The pipeline is late: nothing behind the watermark is known, and nobody is silent.
    late = measure_silence(silent(UNTIL - 16 * MINUTE), UNTIL - 15 * MINUTE)
    assert late is not None
    assert late.seconds == 0


def test_two_runs_in_a_row_fire_however_often_the_device_sends() -> None:
    # The series has a reading every 10 s, and learn judges it every five minutes.
    state, one, (_, default, _) = Series(), series(90.0), default_rules_for("demo", "cpu_temp")
    turns = []
    for until in (UNTIL, UNTIL + 5 * MINUTE):
        verdict = judge_series(device(one), one, default, samples.contracts().book, until, 5 * MINUTE)
        assert verdict is not None
        turns.append(add_reading(state, verdict, verdict.readings[0]))
    assert turns == [None, "fires"]


def test_two_runs_in_a_row_fire_for_a_silent_device() -> None:
    state, (default,) = Series(), default_rules_for("demo", "")
    turns = []
    for until in (UNTIL, UNTIL + 5 * MINUTE):
        found = silent(UNTIL - 16 * MINUTE)
        silence = measure_silence(found, until)
        assert silence is not None
        verdict = judge_silence(found, default, silence, until, 5 * MINUTE)
        turns.append(add_reading(state, verdict, verdict.readings[0]))
    assert turns == [None, "fires"]


def test_a_device_without_a_reading_in_the_hour_was_silent_since_its_sighting() -> None:
    # The sighting is true to ten minutes.
    silence = measure_silence(silent(None), UNTIL)
    assert silence is not None
    assert silence.seconds == 3 * 3600 - 600
    # It sends activities and no readings.
    silence = measure_silence(silent(None, UNTIL - 5 * MINUTE), UNTIL)
    assert silence is not None
    assert silence.seconds == 300
    assert measure_silence(silent(None, None), UNTIL) is None


def test_a_device_that_sends_in_bursts_is_not_silent_between_them() -> None:
    silence = measure_silence(silent(UNTIL - 50 * MINUTE, gap_seconds=3600.0), UNTIL)
    assert silence is not None
    assert silence.away < 1


def test_a_device_is_not_silent_in_hours_in_which_it_usually_sleeps() -> None:
    mornings = sum(1 << hour for hour in range(6, 12))
    assert measure_silence(silent(UNTIL - 16 * MINUTE, active_hours=mornings), UNTIL) is None
    # At noon it should be awake, and counts as silent from then on: five minutes.
    silence = measure_silence(silent(UNTIL - 16 * MINUTE, active_hours=1 << 12), UNTIL)
    assert silence is not None
    assert silence.seconds == 300
    assert measure_silence(device(series(learned=False)), UNTIL) is None


@pytest.mark.parametrize(
    ("shards", "asleep"),
    [
        ({0: {"demo": (6, 6)}, 1: {"demo": (6, 1)}}, {"demo"}),
        ({0: {"demo": (6, 6)}, 1: {"demo": (6, 0)}}, set[str]()),
        # A small fleet has no sleep of its own: its only device may be silent.
        ({0: {"demo": (9, 9)}}, set[str]()),
        ({0: {"demo": (10, 10), "other": (100, 3)}}, {"demo"}),
        ({}, set[str]()),
    ],
)
def test_a_fleet_is_asleep_when_most_of_its_devices_are_silent(
    shards: dict[int, dict[str, Sequence[int]]], asleep: set[str]
) -> None:
    assert find_asleep(shards) == asleep


def test_statistics_have_a_baseline_only_once_the_device_is_learned() -> None:
    described = describe_device(device(series()), UNTIL)
    known = described.series["cpu_temp"]
    assert (known.recent, known.interval_seconds, known.low, known.high) == (Usual(50.0, 1.0, 360), 10.0, 40.0, 60.0)
    # Noon of a Monday, and what was published before and will be used until statistics expire.
    assert described.hour_of(known, UNTIL) == Usual(62.0, 1.0, 2520)
    assert described.hour_of(known, UNTIL - timedelta(hours=1)) == Usual(61.0, 1.0, 2520)
    assert described.hour_of(known, UNTIL + timedelta(hours=6)) == Usual(68.0, 1.0, 2520)
    assert described.hour_of(known, UNTIL + timedelta(hours=7)) is None
    # A range from less than a day's hours would make everything unusual that belongs to another time of the day.
    few = describe_device(device(series(hour_count=23)), UNTIL).series["cpu_temp"]
    assert (few.low, few.high, len(few.hours)) == (None, None, 8)
    new = describe_device(device(series(learned=False)), UNTIL).series["cpu_temp"]
    assert (new.recent.count, new.low, new.high, new.hours) == (360, None, None, ())


def test_a_series_without_a_reading_in_the_hour_keeps_its_baseline_and_has_no_recent_mean() -> None:
    known = describe_device(silent(None), UNTIL).series["cpu_temp"]
    assert (known.recent.count, known.low) == (0, 40.0)


def test_moments_are_read_as_the_database_merges_them() -> None:
    assert usual_from([4.0, 40.0, 16.0]) == Usual(10.0, 2.0, 4)
    assert usual_from([4.0, 40.0, -1e-9]) == Usual(10.0, 0.0, 4)
    assert usual_from(None) is usual_from([0.0, 0.0, 0.0]) is None


def test_the_fleet_of_probe_has_no_defaults_because_alarms_tell_what_it_finds() -> None:
    assert list(list_defaults(PROBE_FLEET, ("cpu_temp", "humidity"))) == []
    assert len(list(list_defaults("demo", ("cpu_temp", "humidity")))) == 7


def test_defaults_are_told_apart_by_series() -> None:
    names = [each.rule_id for metric in ("cpu_temp", "humidity", "") for each in default_rules_for("demo", metric)]
    assert len(names) == len(set(names)) == 7
    assert "default-range-cpu-temp" in names
    assert "default-silence" in names


@pytest.mark.parametrize(
    ("seconds", "words"), [(45, "45 s"), (119, "119 s"), (600, "10 min"), (9000, "2.5 h"), (3e5, "3.47 d")]
)
def test_periods_are_written_for_people(seconds: float, words: str) -> None:
    assert write_period(seconds) == words
