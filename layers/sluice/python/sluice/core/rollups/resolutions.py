"""The widths of windows, and the choice of one for a range."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

Resolution = Literal["1m", "1h", "1d"]

RESOLUTIONS: tuple[Resolution, ...] = get_args(Resolution)  # the finest first
WIDTHS: dict[Resolution, timedelta] = {
    "1m": timedelta(minutes=1),
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
}
MOST_WINDOWS = 1500
"""The most windows that a chart can show and that one page of rollups holds."""
MOST_ROWS: dict[Resolution, int] = {"1m": 12_000, "1h": 4_000, "1d": 4_000}
"""The most windows of a group's devices merged for one page; an hour's digest is ten times as long as a minute's."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def floor_to(moment: datetime, width: timedelta) -> datetime:
    """Return the start of the UTC window that contains a moment."""
    return moment - (moment - _EPOCH) % width


def ceil_to(moment: datetime, width: timedelta) -> datetime:
    """Return the end of the last window that starts before a moment; a window's start is its own ceiling."""
    return moment + (_EPOCH - moment) % width


def count_windows(start: datetime, end: datetime, width: timedelta) -> int:
    """Count the windows that a range touches."""
    return (ceil_to(end, width) - floor_to(start, width)) // width


def choose_resolution(
    start: datetime, end: datetime, kept_from: Mapping[Resolution, datetime], members: int
) -> Resolution:
    """Choose the finest resolution that is available for the whole range and fits on one page."""
    for resolution in RESOLUTIONS[:-1]:
        most = min(MOST_WINDOWS, MOST_ROWS[resolution] // members)
        fits = count_windows(start, end, WIDTHS[resolution]) <= most
        if fits and floor_to(start, WIDTHS[resolution]) >= kept_from[resolution]:
            return resolution
    return RESOLUTIONS[-1]
