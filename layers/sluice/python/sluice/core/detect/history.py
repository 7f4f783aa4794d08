"""What rules remember of a series: a bounded number of readings, with their mean, deviation and extremes at hand."""

import math
from collections import deque


class Spread:
    """The mean and the standard deviation of the latest values."""

    def __init__(self, most: int) -> None:
        self._values: deque[float] = deque(maxlen=most)
        self._most = most
        self._pivot = 0.0
        self._sum = self._squares = 0.0
        self._added = 0

    def __len__(self) -> int:
        return len(self._values)

    def add(self, value: float) -> None:
        """Add a value; the oldest one leaves."""
        if len(self._values) == self._most:
            self._count(self._values[0], -1)
        self._values.append(value)
        self._added += 1
        if self._added % self._most == 1:
            # Sums that values enter and leave lose digits, and most of them far from the pivot.
            self._pivot, self._sum, self._squares = value, 0.0, 0.0
            for each in self._values:
                self._count(each, 1)
        else:
            self._count(value, 1)

    @property
    def mean(self) -> float:
        """The mean of the values; there must be one."""
        return self._pivot + self._sum / len(self._values)

    @property
    def deviation(self) -> float:
        """Their standard deviation; there must be a value."""
        many = len(self._values)
        return math.sqrt(max(self._squares / many - (self._sum / many) ** 2, 0.0))

    def _count(self, value: float, sign: int) -> None:
        away = value - self._pivot
        self._sum += sign * away
        self._squares += sign * away * away


class Extremes:
    """The lowest and the highest of the latest values, without looking at all of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._number = 0
        self._lows: deque[tuple[int, float]] = deque()
        self._highs: deque[tuple[int, float]] = deque()

    def __len__(self) -> int:
        return min(self._number, self._most)

    def add(self, value: float) -> None:
        """Add a value; the oldest one leaves."""
        for kept, sign in ((self._lows, 1), (self._highs, -1)):
            # A value that is older and less extreme will never be the extreme.
            while kept and sign * kept[-1][1] >= sign * value:
                kept.pop()
            kept.append((self._number, value))
            if kept[0][0] <= self._number - self._most:
                kept.popleft()
        self._number += 1

    @property
    def low(self) -> float:
        """The lowest value; there must be one."""
        return self._lows[0][1]

    @property
    def high(self) -> float:
        """The highest value; there must be one."""
        return self._highs[0][1]
