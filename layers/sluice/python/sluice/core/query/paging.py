"""The part of a range on one page: whole windows, limited by the answer's size and time."""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from sluice.core.query.questions import PageSpan
from sluice.core.rollups.resolutions import MOST_ROWS, WIDTHS, Resolution, ceil_to, floor_to

MOST_ITEMS = 20_000
"""The most items of one page: about 4 MB when written, of the 6 MB that a function may answer."""


class Page(msgspec.Struct, frozen=True):
    """The windows of one page."""

    resolution: Resolution
    start: datetime
    end: datetime

    def windows(self) -> int:
        """Count its windows."""
        return (self.end - self.start) // WIDTHS[self.resolution]

    def shortened(self, most: int) -> "Page":
        """Return its first windows, at least one."""
        end = self.start + max(1, most) * WIDTHS[self.resolution]
        return Page(self.resolution, self.start, min(self.end, end))


def cut_page(span: PageSpan, limit: int, series: int, members: int, kept_from: datetime) -> Page:
    """Cut the next page off a range; no page mixes rows that moved to files with rows that did not."""
    width = WIDTHS[span.resolution]
    windows = max(1, min(limit, MOST_ITEMS // max(1, series), MOST_ROWS[span.resolution] // max(1, members)))
    start, last = (datetime.fromtimestamp(moment, UTC) for moment in (span.next, span.end))
    end = min(start + windows * width, last)
    hot = ceil_to(kept_from, width)
    return Page(span.resolution, start, hot if start < hot < end else end)


def split_page(page: Page, complete_until: datetime | None) -> Iterator[tuple[bool, datetime, datetime]]:
    """Split a page into closed and open windows: for each part, whether it is closed, and its bounds."""
    turn = page.start if complete_until is None else min(max(complete_until, page.start), page.end)
    turn = floor_to(turn, WIDTHS[page.resolution])
    if page.start < turn:
        yield True, page.start, turn
    if turn < page.end:
        yield False, turn, page.end
