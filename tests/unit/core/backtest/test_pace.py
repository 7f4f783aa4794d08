"""Batches grow until the time or another bound of a backtest is used up."""

from collections.abc import Iterator

import pytest

from sluice.core.backtest.pace import FIRST_BATCH, MOST_BATCH, MOST_MINUTES_HELD, Bounds, Pace
from sluice.core.backtest.windows import DAY_MINUTES


def batches(pace: Pace, each: int = DAY_MINUTES, held: int = 0) -> list[int]:
    """Take batches until there is none, of devices with so many minutes."""
    sizes: list[int] = []
    while size := pace.next_batch(each * sum(sizes), held if sizes else 0):
        sizes.append(size)
        if len(sizes) == 20:
            break
    return sizes


def clock(*spent: float) -> Iterator[float]:
    """Tell the time: each batch takes so long."""
    now = 0.0
    yield now
    for seconds in spent:
        yield now
        now += seconds
    while True:
        yield now


def test_batches_double_up_to_the_most() -> None:
    sizes = batches(Pace(Bounds(60, 10**9), 1, lambda: 0.0))
    assert sizes[:8] == [FIRST_BATCH, 2, 4, 8, 16, 32, 64, MOST_BATCH]
    assert set(sizes[8:]) == {MOST_BATCH}


def test_no_batch_is_begun_that_would_not_end_in_time() -> None:
    held = clock(1, 2, 4, 8)
    pace = Pace(Bounds(10, 10**9), 1, lambda: next(held))
    # After seven seconds the next batch would take eight.
    assert (batches(pace), pace.cut) == ([1, 2, 4], "time")


@pytest.mark.parametrize(("devices", "sizes"), [(12, [1, 2, 4, 5]), (2, [1, 1]), (0, [1])])
def test_no_more_minutes_are_read_than_a_backtest_may_read(devices: int, sizes: list[int]) -> None:
    pace = Pace(Bounds(60, devices * DAY_MINUTES * 7), 7, lambda: 0.0)
    assert (batches(pace, 7 * DAY_MINUTES), pace.cut) == (sizes, "windows")


def test_a_rule_that_says_too_much_is_tested_on_few_devices() -> None:
    pace = Pace(Bounds(60, 10**9), 1, lambda: 0.0)
    assert (batches(pace, held=MOST_MINUTES_HELD + 1), pace.cut) == ([FIRST_BATCH], "verdicts")
