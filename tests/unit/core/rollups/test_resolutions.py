from datetime import UTC, datetime, timedelta, timezone

import pytest

from sluice.core.rollups.resolutions import (
    MOST_ROWS,
    MOST_WINDOWS,
    WIDTHS,
    Resolution,
    ceil_to,
    choose_resolution,
    count_windows,
    floor_to,
)

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
KEPT: dict[Resolution, datetime] = dict.fromkeys(WIDTHS, ALWAYS)


@pytest.mark.parametrize(
    ("resolution", "floor", "ceil"),
    [
        ("1m", "2026-03-29T11:59:00+00:00", "2026-03-29T12:00:00+00:00"),
        ("1h", "2026-03-29T11:00:00+00:00", "2026-03-29T12:00:00+00:00"),
        ("1d", "2026-03-29T00:00:00+00:00", "2026-03-30T00:00:00+00:00"),
    ],
)
def test_windows_are_those_of_utc_wherever_a_time_was_written(resolution: Resolution, floor: str, ceil: str) -> None:
    moment = (NOON - timedelta(microseconds=1)).astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert floor_to(moment, WIDTHS[resolution]) == datetime.fromisoformat(floor)
    assert ceil_to(moment, WIDTHS[resolution]) == datetime.fromisoformat(ceil)


@pytest.mark.parametrize("resolution", list(WIDTHS))
def test_the_start_of_a_window_is_its_own_floor_and_the_end_of_the_one_before(resolution: Resolution) -> None:
    midnight = NOON.replace(hour=0)
    assert floor_to(midnight, WIDTHS[resolution]) == ceil_to(midnight, WIDTHS[resolution]) == midnight


def test_a_range_is_made_of_the_windows_it_touches() -> None:
    second = timedelta(seconds=1)
    assert count_windows(NOON, NOON + timedelta(minutes=3), WIDTHS["1m"]) == 3
    assert count_windows(NOON - second, NOON + second, WIDTHS["1m"]) == 2


def test_one_window_more_than_a_chart_shows_takes_the_next_resolution() -> None:
    for finer, coarser in (("1m", "1h"), ("1h", "1d")):
        start = NOON.replace(hour=0)
        end = start + MOST_WINDOWS * WIDTHS[finer]  # type: ignore[index]
        assert choose_resolution(start, end, KEPT, 1) == finer
        assert choose_resolution(start, end + timedelta(seconds=1), KEPT, 1) == coarser


def test_a_large_group_takes_a_coarser_resolution_than_a_device() -> None:
    end = NOON + timedelta(hours=3)
    assert choose_resolution(NOON, end, KEPT, MOST_ROWS["1m"] // 180) == "1m"
    assert choose_resolution(NOON, end, KEPT, MOST_ROWS["1m"] // 180 + 1) == "1h"
    assert choose_resolution(NOON, end, KEPT, MOST_ROWS["1h"] + 1) == "1d"


def test_what_is_no_longer_at_hand_is_not_chosen() -> None:
    kept = {**KEPT, "1m": NOON}
    assert choose_resolution(NOON, NOON + timedelta(minutes=5), kept, 1) == "1m"
    assert choose_resolution(NOON - timedelta(seconds=1), NOON, kept, 1) == "1h"
    assert choose_resolution(NOON - timedelta(hours=1), NOON, {**kept, "1h": NOON}, 1) == "1d"
