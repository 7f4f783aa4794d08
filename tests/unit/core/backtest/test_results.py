"""Of how much of a fleet a result says something, and how it is written."""

from datetime import timedelta

import msgspec

from sluice.core.backtest.results import MOST_LISTED, Extent, Result, list_first_incidents, rate
from sluice.core.backtest.windows import DAY_MINUTES, minute_of
from tests.support.backtests import DAY, MINUTE, START, backtest, make_history, make_rule


def test_a_device_day_is_a_day_with_a_reading() -> None:
    first = minute_of(START)
    tested = Extent(first, first + 3 * DAY_MINUTES, by_reading=True)
    tested.add(make_history([1.0] + [None] * DAY_MINUTES + [1.0, 1.0]))
    tested.add(make_history([]))
    tested.add(make_history([1.0] * 4 * DAY_MINUTES))
    assert (tested.devices, tested.device_days, tested.windows) == (3, 5, 3 + 3 * DAY_MINUTES)
    assert tested.exact


def test_a_rate_is_for_a_hundred_device_days() -> None:
    assert (rate(3, 600), rate(0, 7), rate(2, 0)) == (0.5, 0.0, None)


def test_a_result_has_few_incidents_and_is_read_as_it_was_written() -> None:
    bursts = ([90.0] * 3 + [70.0] * 157) * (MOST_LISTED + 5)
    opened = backtest(make_rule(), [make_history(bursts)], START + len(bursts) * MINUTE)
    assert len(opened) == MOST_LISTED + 5
    first_incidents = list_first_incidents(opened)
    assert len(first_incidents) == MOST_LISTED
    assert (first_incidents[0].opened_at, first_incidents[0].device_ids, first_incidents[0].value) == (
        START + MINUTE,
        ["device-1"],
        90.0,
    )
    result = Result(
        since=START,
        until=START + 12 * DAY,
        devices=1,
        rule_devices=2,
        device_days=12,
        windows=len(bursts),
        incidents=len(opened),
        exact=True,
        cut="time",
        first_incidents=first_incidents,
    )
    assert msgspec.json.decode(msgspec.json.encode(result), type=Result) == result
    described = result.described()
    assert (described["incidents_per_100_device_days"], described["cut"]) == (875.0, "time")
    assert described["first_incidents"][1]["opened_at"] == "2026-11-30T02:41:00.000000Z"
    assert START + MINUTE + timedelta(minutes=160) == first_incidents[1].opened_at
