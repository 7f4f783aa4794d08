"""What learn knew of a device at a moment: nothing that came later, and nothing of a level that has moved."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from sluice.core.backtest.histories import (
    DayBaseline,
    DeviceHistory,
    SeriesHistory,
    learn_at,
    measure_gap,
    with_gap,
)
from sluice.core.backtest.windows import Windows, minute_of
from sluice.core.detect.learned import Baseline
from sluice.core.detect.statistics import CELLS, Usual
from tests.support.backtests import DAY, FLEET, MINUTE, START, make_history, make_windows

WEEK, HOUR = 7 * DAY, timedelta(hours=1)


def make_baseline(computed_at: datetime = START, since: datetime = START - WEEK, mean: float = 50.0) -> DayBaseline:
    baseline = Baseline(
        counts=[60] * CELLS,
        means=[mean] * CELLS,
        deviations=[2.0] * CELLS,
        hour_count=168,
        hour_mean=mean,
        hour_deviation=1.0,
        least_deviation=0.5,
        low=40.0,
        high=60.0,
        interval_seconds=60.0,
        gap_seconds=60.0,
        active_hours=2**24 - 1,
    )
    return DayBaseline(computed_at, since, baseline)


def learn(history: DeviceHistory, until: datetime) -> tuple[Usual | None, Usual | None, bool]:
    (series,) = learn_at(history, until, WEEK).series
    return series.recent, series.hour, series.learned


def test_the_last_hour_counts_and_nothing_that_came_after_it() -> None:
    history = make_history([10.0] * 60 + [20.0] * 60 + [99.0] * 60)
    assert learn(history, START + 2 * HOUR) == (Usual(20.0, 0.0, 60), Usual(20.0, 0.0, 60), False)
    recent, _, _ = learn(history, START + 90 * MINUTE)
    assert recent == Usual(15.0, 5.0, 60)


def test_a_slow_series_takes_the_hours_of_a_day_that_had_ended() -> None:
    hours = Windows([minute_of(START) + 60 * number for number in range(5)], [2] * 5, [30.0] * 4 + [99.0], [8.0] * 5)
    series = SeriesHistory("heat", make_windows([30.0] + [None] * 200 + [31.0]), hours=hours)
    history = DeviceHistory(FLEET, "slow", START - 365 * DAY, [series])
    recent, hour, _ = learn(history, START + 4 * HOUR)
    assert recent == Usual(30.0, 2.0, 8)
    assert hour == Usual(31.0, 0.0, 1)


def test_the_baseline_is_the_newest_that_was_computed_by_then() -> None:
    history = make_history([50.0] * 60, baselines=[make_baseline(), make_baseline(START + DAY, mean=70.0)])
    (before,) = learn_at(history, START + 23 * HOUR, WEEK).series
    (after,) = learn_at(history, START + DAY, WEEK).series
    assert [one.baseline and one.baseline.hour_mean for one in (before, after)] == [50.0, 70.0]
    (none,) = learn_at(history, START - MINUTE, WEEK).series
    assert (none.baseline, none.learned) == (None, False)


@pytest.mark.parametrize(
    ("first_seen", "since", "learned"),
    [(30 * DAY, WEEK, True), (6 * DAY, WEEK, False), (30 * DAY, 6 * DAY, False)],
    ids=["long there", "a new device", "a level that was learned anew"],
)
def test_a_device_is_learned_when_it_and_its_level_were_there_for_long_enough(
    first_seen: timedelta, since: timedelta, learned: bool
) -> None:
    history = make_history([50.0] * 60, baselines=[make_baseline(since=START - since)])
    history = replace(history, first_seen_at=START - first_seen)
    assert learn(history, START + HOUR)[2] is learned


@pytest.mark.parametrize(
    ("changes", "level", "learned"),
    [
        ([START + 10 * MINUTE], 90.0, False),
        ([START - 2 * HOUR], 90.0, False),
        ([START - 4 * HOUR], 90.0, True),
        ([START + 10 * MINUTE], 51.0, True),
        ([START + 2 * HOUR], 90.0, True),
    ],
    ids=["since the baseline", "shortly before it", "long before it", "it moved nothing", "it comes later"],
)
def test_a_level_that_a_firmware_has_moved_is_not_judged(
    changes: Sequence[datetime], level: float, learned: bool
) -> None:
    history = replace(make_history([level] * 60, baselines=[make_baseline()]), changes=changes)
    assert learn(history, START + HOUR)[2] is learned


def test_a_device_was_seen_last_when_it_sent_last() -> None:
    first = minute_of(START)
    history = DeviceHistory(FLEET, "quiet", START - WEEK, [], sent=[first, first + 7], seen_before=START - DAY)
    assert learn_at(history, START + HOUR, WEEK).last_seen_at == START + 8 * MINUTE
    assert learn_at(history, START + 7 * MINUTE, WEEK).last_seen_at == START + MINUTE
    assert learn_at(history, START, WEEK).last_seen_at == START - DAY


def test_the_usual_gap_is_that_between_bursts_of_the_last_day() -> None:
    first = minute_of(START)
    bursts = [first + number for number in range(2 * 1440) if number % 60 < 5]
    # As the database has it: test_the_usual_gap_of_a_device_is_that_between_its_bursts.
    assert measure_gap(bursts, first + 1440) == 56 * 60.0
    assert measure_gap(list(range(first, first + 1440)), first + 1440) == 60.0
    assert measure_gap([first], first + 1440) is None
    assert with_gap(make_baseline(START + DAY), bursts).baseline.gap_seconds == 56 * 60.0
    assert with_gap(make_baseline(START + DAY), []).baseline.gap_seconds == 60.0
