"""Faults: what may happen at an effect, and which of them a history has.

A history's faults are drawn while it runs and written down by their place: a function, its invocation and the step in
it. Run again from what is written, a history meets the same faults, or some of them when it is shortened.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

KILLED_BEFORE = "killed before"
KILLED_AFTER = "killed after"
NO_ANSWER = "not done"
"""An error, and nothing was done."""
ANSWER_LOST = "answer lost"
"""An error, although it was done."""
PARTLY = "partly done"
SLOW = "slow"
AWAY = "away"
"""Not drawn: the part is away for a while, as the history says."""

ALWAYS = (KILLED_BEFORE, KILLED_AFTER, NO_ANSWER, ANSWER_LOST, SLOW)

RATES = (0.0, 0.01, 0.03, 0.08)
"""How likely a step fails; a history has one of them."""
OFTEN = (0.05, 0.1, 0.2)
KILLS, MOST_KILLED = (KILLED_BEFORE, KILLED_AFTER), 0.04
"""Processes that end at every other record are no world that anything must stand: records are given up for it."""
AT_ONE, AT_ONE_SHARE = 0.15, 0.4
"""How likely a step of one function fails, in this share of the histories: rare functions meet faults too."""


class Place(NamedTuple):
    """Where a fault happens."""

    function: str
    invocation: int
    step: int


class Fault(NamedTuple):
    """One fault of a history."""

    place: Place
    kind: str


@dataclass
class Faults:
    """What happens at each step: drawn, or as written before."""

    draw: random.Random
    rate: float = 0.0
    at_one: str = ""
    """The function at which more fails."""
    kinds: frozenset[str] = frozenset()
    """Those that this history has: some histories have few kinds, so that one does not hide another."""
    parts: frozenset[str] = frozenset()
    """The parts that fail in it."""
    written: dict[Place, str] | None = None
    """If a history is run again; nothing is drawn then."""
    happened: list[Fault] = field(default_factory=list)
    over: bool = False
    """Once the world is healthy."""

    def at(self, place: Place, part: str, kinds: Sequence[str]) -> str | None:
        """Return what happens at a step, if anything does."""
        if self.over:
            return None
        kind = self._find(place, part, kinds)
        if kind is not None:
            self.happened.append(Fault(place, kind))
        return kind

    def _find(self, place: Place, part: str, kinds: Sequence[str]) -> str | None:
        if self.written is not None:
            kind = self.written.get(place)
            return kind if kind in kinds else None
        rate = AT_ONE if place.function == self.at_one else self.rate
        if part not in self.parts or self.draw.random() >= rate:
            return None
        possible = [kind for kind in kinds if kind in self.kinds]
        kind = self.draw.choice(possible) if possible else None
        if kind in KILLS and self.draw.random() * rate > MOST_KILLED:
            return None
        return kind


def draw_faults(draw: random.Random, parts: Iterable[str], functions: Iterable[str], *, often: bool) -> Faults:
    """Draw which kinds of faults a history has, in which parts, and how often: perhaps often, and in all of them."""
    kinds = [*ALWAYS, PARTLY]
    chosen = kinds if draw.random() < 0.4 else draw.sample(kinds, draw.randint(1, 4))
    every = sorted(parts)
    failing = every if draw.random() < 0.5 else draw.sample(every, draw.randint(1, len(every)))
    at_one = draw.choice(sorted(functions)) if draw.random() < AT_ONE_SHARE else ""
    if often:
        return Faults(draw, draw.choice(OFTEN), at_one, frozenset([*chosen, PARTLY, NO_ANSWER]), frozenset(every))
    return Faults(draw, draw.choice(RATES), at_one, frozenset(chosen), frozenset(failing))
