"""The rules of the backtest, for a series in a file; defaults.py has those of live readings.

Each sees one reading at a time, and compares it with those before.

A rule says why a reading is a breach, in words for the person who is woken. `incidents.py` decides who is.
"""

from collections import defaultdict, deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from statistics import fmean, median
from typing import Protocol

import msgspec

from sluice.core.detect.history import Extremes, Spread
from sluice.core.detect.judging import deviations_away, differs, range_away, share_left

HISTORY = 1500
"""How many readings before the latest ones are usual: some days of a reading every five minutes."""


class Reading(msgspec.Struct, frozen=True):
    """A value of a series at a time."""

    at: datetime
    value: float


class Rule(Protocol):
    """Judges the readings of one series, in their order."""

    name: str

    def judge(self, reading: Reading) -> str | None:
        """Return why a reading is a breach, or None; remember it."""


class Level:
    """The latest readings together are far from those before: a step, or a drift."""

    name = "level"
    LATEST, DEVIATIONS, LEAST = 6, 3.0, 30

    def __init__(self) -> None:
        self._latest: deque[float] = deque()
        self._before = Spread(HISTORY)

    def judge(self, reading: Reading) -> str | None:
        """Compare the mean of the latest readings with the mean before."""
        self._latest.append(reading.value)
        if len(self._latest) > self.LATEST:
            self._before.add(self._latest.popleft())
        if len(self._before) < self.LEAST:
            return None
        level, usual, deviation = fmean(self._latest), self._before.mean, self._before.deviation
        if deviations_away(level, usual, deviation) <= self.DEVIATIONS:
            return None
        return (
            f"the mean of the last {self.LATEST} readings is {level:.6g}; before, it was {usual:.6g}"
            f" with a standard deviation of {deviation:.3g}"
        )


class Range:
    """One reading is far outside of everything before: a spike."""

    name = "range"
    SHARE, LEAST = 0.25, 300

    def __init__(self) -> None:
        self._before = Extremes(HISTORY)

    def judge(self, reading: Reading) -> str | None:
        """Compare a reading with the lowest and the highest before."""
        why = None
        if len(self._before) >= self.LEAST:
            low, high = self._before.low, self._before.high
            if range_away(reading.value, low, high) > self.SHARE:
                why = f"the reading is {reading.value:.6g}; the {len(self._before)} before were {low:.6g} to {high:.6g}"
        self._before.add(reading.value)
        return why


class Daytime:
    """The latest readings differ from those at the same time of the days before."""

    name = "daytime"
    SLOT = timedelta(minutes=5)
    LATEST, DEVIATIONS, LEAST = 12, 4.0, 288
    DAYS, LEAST_DAYS = 7, 3
    SHARE = 0.5
    """The day must explain the values: what is left beside it varies at most so much as the values do."""

    def __init__(self) -> None:
        self._days: defaultdict[int, deque[tuple[int, float]]] = defaultdict(lambda: deque(maxlen=self.DAYS + 1))
        self._latest: deque[tuple[float, float]] = deque()
        self._values, self._rests = Spread(HISTORY), Spread(HISTORY)

    def judge(self, reading: Reading) -> str | None:
        """Compare what is left beside the usual value of this time with what was left before."""
        day, slot = divmod(round((reading.at - _EPOCH) / timedelta(seconds=1)), 24 * 3600)
        days = self._days[slot // self.SLOT.seconds]
        earlier = [value for on, value in days if on < day][-self.DAYS :]
        if not days or days[-1][0] != day:
            days.append((day, reading.value))
        if len(earlier) < self.LEAST_DAYS:
            return None
        usual = median(earlier)
        self._latest.append((reading.value, reading.value - usual))
        if len(self._latest) <= self.LATEST:
            return None
        value, rest = self._latest.popleft()
        self._values.add(value)
        self._rests.add(rest)
        deviation = self._rests.deviation
        if len(self._rests) < self.LEAST or deviation >= self.SHARE * self._values.deviation:
            return None
        away = fmean(rest for _, rest in self._latest)
        if not differs(away + usual, usual) or abs(away) <= self.DEVIATIONS * deviation:
            return None
        return (
            f"the last {self.LATEST} readings are {away:+.6g} from the usual ones at this time of day,"
            f" which differ by {deviation:.3g} (standard deviation)"
        )


class Stuck:
    """The latest readings vary much less than ever before: a sensor that hangs."""

    name = "stuck"
    LATEST, SHARE, LEAST = 48, 0.05, 300

    def __init__(self) -> None:
        self._latest = Spread(self.LATEST)
        self._waiting: deque[float] = deque()
        self._before = Extremes(HISTORY)

    def judge(self, reading: Reading) -> str | None:
        """Compare the deviation of the latest readings with the lowest before."""
        self._latest.add(reading.value)
        if len(self._latest) < self.LATEST:
            return None
        deviation = self._latest.deviation
        self._waiting.append(deviation)
        if len(self._waiting) > self.LATEST:
            self._before.add(self._waiting.popleft())
        if len(self._before) < self.LEAST:
            return None
        left = share_left(deviation, self._before.low)
        if left is None or left >= self.SHARE:
            return None
        return (
            f"the last {self.LATEST} readings have a standard deviation of {deviation:.3g};"
            f" before, it was never below {self._before.low:.3g}"
        )


_EPOCH = datetime.fromtimestamp(0, UTC)


def default_rules() -> Iterable[Rule]:
    """Make the rules for a series without a rule of its own."""
    return Range(), Level(), Daytime(), Stuck()
