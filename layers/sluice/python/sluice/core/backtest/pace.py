"""How many devices a backtest reads at once, and when it has read enough."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from sluice.core.backtest.windows import DAY_MINUTES

if TYPE_CHECKING:
    from sluice.core.backtest.results import Cut

MOST_DAYS = 30
"""Of how many days a backtest is at most."""
FIRST_BATCH, MOST_BATCH = 1, 100
"""How many devices are read at once: the first batch, which nothing bounds, shows how long they take."""
MOST_MINUTES_HELD = 100_000
"""Minutes with a breach, or near one, that are held in memory: some 150 MB."""


class Bounds(msgspec.Struct, frozen=True):
    """How much a backtest may read."""

    seconds: float
    windows: int
    """Minutes of devices."""


class Pace:
    """How many devices the next batch has, until a bound is reached."""

    def __init__(self, bounds: Bounds, days: int, seconds: Callable[[], float]) -> None:
        self.cut: Cut = ""
        self._windows = bounds.windows
        self._device_windows = days * DAY_MINUTES
        self._seconds = seconds
        self._ends = seconds() + bounds.seconds
        self._begun: float | None = None
        self._size = FIRST_BATCH

    def next_batch(self, windows: int, held: int) -> int:
        """Return the size of the next batch; 0 if there is none, and then `cut` says why."""
        now, begun = self._seconds(), self._begun
        self._begun = now
        most = (self._windows - windows) // self._device_windows
        if begun is None:
            return max(1, min(self._size, most))
        self._size = min(2 * self._size, MOST_BATCH)
        # Twice as many devices take twice as long at most.
        if now + 2 * (now - begun) > self._ends:
            self.cut = "time"
        elif most < 1:
            self.cut = "windows"
        elif held > MOST_MINUTES_HELD:
            self.cut = "verdicts"
        return 0 if self.cut else min(self._size, most)
