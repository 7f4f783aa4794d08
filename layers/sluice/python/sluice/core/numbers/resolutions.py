"""The widths of windows, and which of them suits a range."""

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
"""What a chart can show, and what one page of rollups holds at most."""
MOST_ROWS: dict[Resolution, int] = {"1m": 12_000, "1h": 4_000, "1d": 4_000}
"""Of a group's devices, to be merged for one page; the digest of an hour is ten times as long as a minute's."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def floor_to(moment: datetime, width: timedelta) -> datetime:
    """Return the start of the window that a moment lies in; windows are UTC's."""
    return moment - (moment - _EPOCH) % width


def ceil_to(moment: datetime, width: timedelta) -> datetime:
    """Return the end of the last window before a moment, which is the moment itself where a window starts."""
    return moment + (_EPOCH - moment) % width


def count_windows(start: datetime, end: datetime, width: timedelta) -> int:
    """Count the windows that a range touches."""
    return (ceil_to(end, width) - floor_to(start, width)) // width


def choose_resolution(
    start: datetime, end: datetime, kept_from: Mapping[Resolution, datetime], members: int
) -> Resolution:
    """Choose the finest resolution that is at hand for the whole range, and of which one page holds all."""
    for resolution in RESOLUTIONS[:-1]:
        most = min(MOST_WINDOWS, MOST_ROWS[resolution] // members)
        fits = count_windows(start, end, WIDTHS[resolution]) <= most
        if fits and floor_to(start, WIDTHS[resolution]) >= kept_from[resolution]:
            return resolution
    return RESOLUTIONS[-1]
