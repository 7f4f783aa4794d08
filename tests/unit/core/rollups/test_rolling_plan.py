"""What becomes of claimed windows before and after they are rolled."""

from datetime import UTC, datetime, timedelta

from sluice.core.rollups.rolling_plan import Claim, Marker, drop_covered, mark_wider, select_complete

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def test_windows_that_begin_below_the_floor_are_left_as_they_are() -> None:
    claims = [Claim(1, NOON - MINUTE), Claim(1, NOON), Claim(1, NOON + MINUTE)]
    assert select_complete(claims, NOON) == (claims[1:], claims[:1])
    assert select_complete(claims, None) == (claims, [])


def test_a_device_is_rolled_once_where_its_shard_is_rolled_too() -> None:
    shard, device, elsewhere = Claim(1, NOON), Claim(1, NOON, 7), Claim(2, NOON, 8)
    later, fleet = Claim(1, NOON + MINUTE, 7), Claim(1, NOON, 9, "one", 3)
    assert drop_covered([device, shard, elsewhere, later, fleet]) == [shard, elsewhere, later, fleet]


def test_a_wider_window_that_was_not_rolled_yet_waits_since_its_beginning() -> None:
    claims = [Claim(1, NOON + MINUTE), Claim(1, NOON + 2 * MINUTE)]
    assert mark_wider(claims, HOUR, {1: NOON + 3 * MINUTE}) == [Marker(1, NOON, None, NOON)]
    # Its last minute closes it.
    last = [Claim(1, NOON + HOUR - MINUTE)]
    assert mark_wider(last, HOUR, {1: NOON + HOUR}) == [Marker(1, NOON, None, NOON)]
    # A straggler of an hour that is still open.
    straggler = [Claim(1, NOON, 7, again=True)]
    assert mark_wider(straggler, HOUR, {1: NOON + HOUR - MINUTE}) == [Marker(1, NOON, 7, NOON)]


def test_a_wider_window_that_was_rolled_waits_from_now_on() -> None:
    stragglers = [Claim(1, NOON, 7, again=True), Claim(1, NOON + MINUTE, 7, again=True)]
    assert mark_wider(stragglers, HOUR, {1: NOON + HOUR}) == [Marker(1, NOON, 7, None)]


def test_one_window_that_is_new_in_it_is_enough() -> None:
    for order in (1, -1):
        mixed = [Claim(1, NOON, 7, again=True), Claim(1, NOON + HOUR - MINUTE, 7)][::order]
        assert mark_wider(mixed, HOUR, {1: NOON + HOUR}) == [Marker(1, NOON, 7, NOON)]
