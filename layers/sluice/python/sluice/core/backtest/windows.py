"""The rollups of a series, and the readings that a minute stands for.

A minute has the histogram of its readings, and not their order. With one reading a minute nothing is lost.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from sluice.core.detect.series_rules import MOST_OF
from sluice.core.detect.statistics import Usual
from sluice.core.rollups.digests import middle_of

MINUTE_SECONDS = 60
HOUR_MINUTES = 60
DAY_MINUTES = 24 * HOUR_MINUTES
MOST_EQUAL = 2 * MOST_OF
"""More equal readings in a row change nothing: a rule looks at `MOST_OF` at most."""

Bins = tuple[Sequence[int], Sequence[int]]
"""The bins of a digest, and how many readings are in each."""


class Windows(msgspec.Struct, frozen=True):
    """The minutes or hours of one series of a device that have readings, the oldest first: a column for each number."""

    at: Sequence[int] = ()
    """The first minute of each, in minutes since 1970."""
    counts: Sequence[int] = ()
    means: Sequence[float] = ()
    squares: Sequence[float] = ()
    """Summed squares of the distances from the mean."""
    lows: Sequence[float] = ()
    highs: Sequence[float] = ()
    digest: Callable[[int], Bins] = lambda _: ((), ())
    """Reads the digest of a window by its place. Few windows are looked at so closely."""

    def find(self, minute: int) -> int:
        """Find the place of the first window that begins at a minute or after it."""
        return bisect_left(self.at, minute)

    def list_readings(self, place: int, resolution: float | None) -> list[float]:
        """List the readings of a window, the lowest first: the extremes are exact, the others within a bin."""
        low, high = self.lows[place], self.highs[place]
        if self.counts[place] == 1:
            return [low]
        bins, many = self.digest(place)
        within = [
            min(max(middle_of(number, resolution), low), high)
            for number, count in zip(bins, many, strict=True)
            for _ in range(min(count, MOST_EQUAL))
        ]
        return [low, *within[1:-1], high]

    def merge(self, first: int, last: int) -> Usual | None:
        """Merge the windows from one place up to another, as the database does; None without any."""
        if first >= last:
            return None
        counts, means = self.counts[first:last], self.means[first:last]
        total = sum(counts)
        mean = sum(count * each for count, each in zip(counts, means, strict=True)) / total
        squares = sum(self.squares[first:last]) + sum(
            count * (each - mean) ** 2 for count, each in zip(counts, means, strict=True)
        )
        return Usual(mean, (max(squares, 0.0) / total) ** 0.5, total)


def minute_of(moment: datetime) -> int:
    """Return the minute of a moment, in minutes since 1970."""
    return int(moment.timestamp()) // MINUTE_SECONDS


def moment_of(minute: int) -> datetime:
    """Return the first moment of a minute."""
    return datetime.fromtimestamp(minute * MINUTE_SECONDS, UTC)
