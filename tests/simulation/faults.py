"""Faults: what may happen at an effect, and which of them a history has.

A history's faults are drawn while it runs and written down by their place: a function, its invocation and the step in
it. Run again from what is written, a history meets the same faults, or some of them when it is shortened.
"""

import random
from collections import Counter
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
AT_ONE, AT_ONE_SHARE = (0.1, 0.3), 0.4
"""How likely a step of one function fails, in this share of the histories: rare functions meet faults too. If a history
has areas, it is one of theirs."""
RARE, RARELY, RARE_SHARE = 2, 0.3, 0.5
"""What the areas' functions do for the first times fails so often, in this share of the histories: a function may do a
thing once in a history."""
PARTLY_SHARE = 0.5
"""How many failures are partial ones, where there may be some: they are the ones that code forgets."""


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
    """The function at which more fails, in all parts and in every way."""
    rate_at_one: float = 0.0
    kinds: frozenset[str] = frozenset()
    """Those that this history has: some histories have few kinds, so that one does not hide another."""
    parts: frozenset[str] = frozenset()
    """The parts that fail in it."""
    own: frozenset[str] = frozenset()
    """The functions of which more fails of what they do for the first times."""
    met: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often these have come to each of their effects."""
    written: dict[Place, str] | None = None
    """If a history is run again; nothing is drawn then."""
    happened: list[Fault] = field(default_factory=list)
    over: bool = False
    """Once the world is healthy."""

    def at(self, place: Place, part: str, effect: str, kinds: Sequence[str]) -> str | None:
        """Return what happens at a step, if anything does."""
        if self.over:
            return None
        kind = self._find(place, part, effect, kinds)
        if kind is not None:
            self.happened.append(Fault(place, kind))
        return kind

    def _find(self, place: Place, part: str, effect: str, kinds: Sequence[str]) -> str | None:
        if self.written is not None:
            kind = self.written.get(place)
            return kind if kind in kinds else None
        rate, everything = self._find_rate(place.function, f"{part} {effect}")
        if not (everything or part in self.parts) or self.draw.random() >= rate:
            return None
        possible = [kind for kind in kinds if everything or kind in self.kinds]
        if PARTLY in possible and self.draw.random() < PARTLY_SHARE:
            return PARTLY
        kind = self.draw.choice(possible) if possible else None
        if kind in KILLS and self.draw.random() * rate > MOST_KILLED:
            return None
        return kind

    def _find_rate(self, function: str, effect: str) -> tuple[float, bool]:
        """Return how likely a step fails, and whether in all parts and in every way."""
        if function in self.own:
            self.met[function, effect] += 1
            if self.met[function, effect] <= RARE:
                return RARELY, True
        is_the_one = function == self.at_one
        return (self.rate_at_one if is_the_one else self.rate), is_the_one


def draw_faults(
    draw: random.Random, parts: Iterable[str], functions: Iterable[str], own: Sequence[str], *, often: bool
) -> Faults:
    """Draw which kinds of faults a history has, in which parts, and how often: perhaps often, and in all of them.

    Where a history has areas, their own functions are named too.
    """
    kinds = [*ALWAYS, PARTLY]
    chosen = kinds if draw.random() < 0.4 else draw.sample(kinds, draw.randint(1, 4))
    every = sorted(parts)
    failing = every if draw.random() < 0.5 else draw.sample(every, draw.randint(1, len(every)))
    candidates = sorted(own) or sorted(functions)
    at_one = draw.choice(candidates) if draw.random() < AT_ONE_SHARE else ""
    rate_at_one, failing_first = draw.choice(AT_ONE), own if draw.random() < RARE_SHARE else ()
    if often:
        rate, chosen, failing = draw.choice(OFTEN), [*chosen, PARTLY, NO_ANSWER], every
    else:
        rate = draw.choice(RATES)
    return Faults(draw, rate, at_one, rate_at_one, frozenset(chosen), frozenset(failing), own=frozenset(failing_first))


def draw_failing(draw: random.Random, size: int) -> frozenset[int]:
    """Draw which of some things fail where an effect happens partly: at least one."""
    return frozenset([draw.randrange(size), *(number for number in range(size) if draw.random() < 0.5)])
