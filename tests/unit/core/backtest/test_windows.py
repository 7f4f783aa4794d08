"""Which readings a minute stands for, and how minutes are merged."""

from statistics import fmean, pstdev

import pytest

from sluice.core.backtest.windows import MOST_EQUAL, Windows
from sluice.core.detect.statistics import Usual


def make(readings: list[list[float]], bins: dict[int, int] | None = None) -> Windows:
    digest = bins or {}
    return Windows(
        range(10, 10 + len(readings)),
        [len(each) for each in readings],
        [fmean(each) for each in readings],
        [len(each) * pstdev(each) ** 2 for each in readings],
        [min(each) for each in readings],
        [max(each) for each in readings],
        lambda _: (list(digest), list(digest.values())),
    )


def test_a_single_reading_is_exact() -> None:
    assert make([[80.04]], {800: 1}).list_readings(0, 0.1) == [80.04]


def test_of_several_readings_the_extremes_are_exact_and_the_others_within_their_bin() -> None:
    windows = make([[79.96, 80.32, 81.04, 81.04, 83.33]], {800: 1, 803: 1, 810: 2, 833: 1})
    assert windows.list_readings(0, 0.1) == pytest.approx([79.96, 80.3, 81.0, 81.0, 83.33])


def test_no_reading_is_beyond_the_extremes() -> None:
    assert make([[80.04, 80.04, 80.04]], {800: 3}).list_readings(0, 0.1) == [80.04, 80.04, 80.04]


def test_many_equal_readings_are_as_many_as_a_rule_can_look_at() -> None:
    assert len(make([[80.0] * 600], {800: 600}).list_readings(0, 0.1)) == MOST_EQUAL


def test_minutes_merge_to_what_their_readings_say() -> None:
    readings = [[1.0, 5.0], [7.0], [2.0, 2.5, 9.0]]
    windows = make(readings)
    together = [value for each in readings for value in each]
    merged = windows.merge(0, 3)
    assert merged is not None
    assert (merged.mean, merged.deviation, merged.count) == pytest.approx((fmean(together), pstdev(together), 6))
    assert windows.merge(windows.find(11), windows.find(12)) == Usual(7.0, 0.0, 1)
    assert windows.merge(2, 2) is None
