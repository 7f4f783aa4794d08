"""A replay is expected to take what like ones took, more or less for the events that it differs by."""

import pytest

from sluice.core.replay.forecast import COUNTED_PER_SECOND, Past, forecast

FIXED, PER_SECOND = 100.0, 1000.0


def took(events: int, waits: float = 8.0, pace: float = 1 / 500) -> Past:
    """A replay that waits, and takes a time for each event."""
    return Past(events, waits + events * pace, events * pace)


def test_without_an_earlier_one_the_bound_on_the_rate_gives_a_wide_range_that_says_so() -> None:
    told = forecast(50_000, [], FIXED, PER_SECOND)
    assert (told.least, told.most) == (100.0, 300.0)
    assert told.seconds == pytest.approx(150 + 50_000 / COUNTED_PER_SECOND)
    assert "no replay has ended here yet" in told.rests_on


def test_replays_of_the_same_size_tell_of_one_more_whatever_was_configured() -> None:
    told = forecast(20_000, [took(20_000), took(20_000, waits=9), took(20_000, waits=12)], FIXED, PER_SECOND)
    assert told.seconds == 49.0
    assert (told.least, told.most) == pytest.approx((48 * 0.8, 52 * 1.2))
    assert told.rests_on == "the last 3 replays like it, of 20,000 events"


@pytest.mark.parametrize("events", [1, 2_000, 50_000, 360_000])
def test_replays_of_different_sizes_tell_what_waits_from_what_grows(events: int) -> None:
    # Each step has a beginning of its own, which looks like work.
    past = [Past(size, 14 + size / 500, 6 + size / 500) for size in (2_000, 20_000, 100_000)]
    told = forecast(events, past, FIXED, PER_SECOND)
    assert told.seconds == pytest.approx(14 + events / 500, rel=0.01)
    assert told.least <= told.seconds <= told.most
    assert told.rests_on == "the last 3 replays like it, of 2,000 to 100,000 events"


def test_a_large_one_after_small_ones_has_a_range_that_holds_what_may_come() -> None:
    past = [Past(2_000, 20.0, 8.0)]
    told = forecast(360_000, past, FIXED, PER_SECOND)
    # Between the bound on the rate, and the pace of the small one.
    assert told.least <= 12 + 360_000 / PER_SECOND
    assert told.most >= 20 + 358_000 * 8 / 2_000
    assert told.rests_on == "one replay like it, of 2,000 events"


def test_no_replay_takes_less_than_earlier_ones_waited() -> None:
    assert forecast(1, [took(100_000)], FIXED, PER_SECOND).seconds == pytest.approx(8, abs=0.01)


def test_an_outlier_and_replays_without_events_move_nothing() -> None:
    past = [took(20_000)] * 4 + [took(20_000, waits=500)] + [Past(0, 9.0, 1.0)]
    assert forecast(20_000, past, FIXED, PER_SECOND).seconds == 48.0


def test_slower_replays_that_were_smaller_do_not_make_time_run_backwards() -> None:
    told = forecast(40_000, [Past(10_000, 60.0, 20.0), Past(30_000, 30.0, 20.0)], FIXED, PER_SECOND)
    assert told.seconds == 30.0


def test_of_two_the_shorter_is_the_usual_one_and_the_range_holds_both() -> None:
    told = forecast(20_000, [took(20_000), took(20_000, waits=20)], FIXED, PER_SECOND)
    assert told.seconds == 48.0
    assert (told.least, told.most) == pytest.approx((48 * 0.7, 60 * 1.3))
