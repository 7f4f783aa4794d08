"""How slow producing is, as those who produce remember it."""


class Slowness:
    """What part of its deadline producing has taken lately; what is not measured any more fades."""

    WEIGHT = 0.3
    HALF_LIFE_SECONDS = 30.0

    def __init__(self) -> None:
        self._value = 0.0
        self._measured_at = 0.0

    def add(self, part: float, now: float) -> None:
        """Remember how much of its deadline one flush has taken."""
        before = self.at(now)
        self._value = before + self.WEIGHT * (part - before)
        self._measured_at = now

    def at(self, now: float) -> float:
        """Say how slow it is at a moment."""
        return float(self._value * 0.5 ** ((now - self._measured_at) / self.HALF_LIFE_SECONDS))
