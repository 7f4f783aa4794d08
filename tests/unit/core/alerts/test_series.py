"""When the breaches of a series fire, when its readings are clear for long enough, and that each is taken in once."""

from datetime import timedelta
from typing import Any

import pytest

from sluice.core.alerts.series import RECREATED, Series, add_reading, take_new
from sluice.core.detect.verdicts import Judged, Verdict
from tests.support.alerts import MINUTE, START, reading, readings, verdict


def turns(states: str, **changed: Any) -> str:
    """Return for each reading whether the series fires (F), ends (E) or does neither (.)."""
    series, given = Series(), verdict(readings(states), **changed)
    found = [add_reading(series, given, one) for one in take_new(series, given)]
    return "".join({None: ".", "fires": "F", "ends": "E"}[one] for one in found)


def test_one_breach_fires_and_two_clear_readings_end_it() -> None:
    assert turns("b....") == "F.EEE"


def test_it_fires_with_so_many_of_the_latest_readings() -> None:
    assert turns("b.b.b", breaches=3, of=5) == "....F"
    assert turns("b..b..b", breaches=3, of=5) == "......."


def test_a_reading_between_neither_breaches_nor_clears() -> None:
    assert turns("b.-.-..") == "F.....E"


def test_as_many_clear_readings_end_it_as_the_rule_looks_at() -> None:
    assert turns("bbb.....", breaches=3, of=4) == "..F...EE"


def test_one_clear_run_of_learn_ends_it() -> None:
    assert turns("b.", source="statistics") == "FE"


def test_breaches_that_are_older_than_the_usual_intervals_allow_do_not_count() -> None:
    series = Series()
    minutely: dict[str, Any] = {"breaches": 2, "of": 3, "interval_seconds": 60.0}
    first = verdict(readings("b"), **minutely)
    late = verdict([reading(7, "breach")], **minutely)
    assert [add_reading(series, given, given.readings[0]) for given in (first, late)] == [None, None]
    within = verdict([reading(13, "breach")], **minutely)
    assert add_reading(series, within, within.readings[0]) == "fires"


def take(series: Series, given: Verdict) -> list[int]:
    return [one.position for one in take_new(series, given)]


def test_readings_are_taken_in_once_whatever_is_delivered_again() -> None:
    series = Series()
    assert take(series, verdict(readings("bbb"))) == [0, 1, 2]
    assert take(series, verdict(readings("bbb"))) == []
    assert take(series, verdict(readings("b", 1))) == []
    assert take(series, verdict(readings("bbbb", 1))) == [3, 4]
    assert take(series, verdict(())) == []


def test_positions_of_a_recreated_topic_are_told_by_their_reception() -> None:
    series = Series()
    take(series, verdict(readings("b", 1000), received_at=START))
    again = Judged(0, START + 10 * MINUTE, 90.0, "breach")
    assert take(series, verdict([again], received_at=START + RECREATED)) == []
    assert take(series, verdict([again], received_at=START + RECREATED + MINUTE)) == [0]
    assert take(series, verdict([again], received_at=START + RECREATED + MINUTE)) == []


def test_a_device_that_moves_to_another_partition_goes_on_there() -> None:
    series = Series()
    assert take(series, verdict(readings("b", 500), partition=1)) == [500]
    assert take(series, verdict([Judged(7, START + 501 * MINUTE, 1.0, "breach")], partition=2)) == [7]
    assert take(series, verdict(readings("b", 500), partition=1)) == []
    old = verdict(readings("b", 3), partition=9)
    assert take(series, old) == []


def test_verdicts_of_an_older_rule_are_passed_over_and_a_newer_rule_starts_afresh() -> None:
    series = Series()
    given = verdict(readings("bb"), breaches=3, of=5)
    for one in take_new(series, given):
        add_reading(series, given, one)
    newer = verdict(readings("b", 2), breaches=3, of=5, rule_version=2)
    assert [add_reading(series, newer, one) for one in take_new(series, newer)] == [None]
    assert take(series, verdict(readings("b", 3))) == []
    assert take(series, verdict(readings("bb", 3), rule_version=2)) == [4]


@pytest.mark.parametrize("skew", [timedelta(0), timedelta(seconds=-2)])
def test_receptions_out_of_order_lose_nothing(skew: timedelta) -> None:
    series = Series()
    take(series, verdict(readings("b", 0), received_at=START))
    assert take(series, verdict(readings("b", 1), received_at=START + skew)) == [1]
