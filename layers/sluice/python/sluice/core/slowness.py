"""How slow producing is, as each producing process remembers it."""


class Slowness:
    """The part of its deadline that producing took recently; old measurements fade."""

    WEIGHT = 0.3
    HALF_LIFE_SECONDS = 30.0

    def __init__(self) -> None:
        self._value = 0.0
        self._measured_at = 0.0

    def add(self, part: float, now: float) -> None:
        """Remember which part of its deadline one flush took."""
        before = self.at(now)
        self._value = before + self.WEIGHT * (part - before)
        self._measured_at = now

    def at(self, now: float) -> float:
        """Return the slowness at a moment."""
        return float(self._value * 0.5 ** ((now - self._measured_at) / self.HALF_LIFE_SECONDS))
