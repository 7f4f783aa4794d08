"""The world around the functions: time, chance, faults, and a record of everything that happened.

Each simulated part performs its effects through `perform`, which decides whether one happens, whether its answer
arrives, and whether the process that asked for it is still alive afterwards.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from tests.simulation.faults import (
    ALWAYS,
    ANSWER_LOST,
    AWAY,
    KILLED_AFTER,
    KILLED_BEFORE,
    NO_ANSWER,
    PARTLY,
    SLOW,
    Faults,
)
from tests.simulation.timeline import Timeline
from tests.simulation.witness import Witness

if TYPE_CHECKING:
    from tests.simulation.processes import Invocation

Answer = TypeVar("Answer")

QUICK, LONG = 0.02, 4.0
"""How long an effect takes at most, and a slow one."""


class Killed(BaseException):
    """The process is gone: nothing of ours handles this, and what it had in memory is lost."""


class World:
    """What the simulated parts share."""

    def __init__(self, seed: str, faults: Faults) -> None:
        self.seed = seed
        self.timeline = Timeline()
        self.faults = faults
        self.open_share = 0.0
        """How often others run while a transaction is open."""
        self.witness = Witness()
        """Who sees each effect."""
        self.deadly: dict[str, set[bytes]] = {}
        """Records that end the process of a function when it reads them."""
        self.away: set[str] = set()
        """Parts that do not answer now."""
        self.trace: list[str] = []
        self.met: Counter[tuple[str, str, str]] = Counter()
        """How often each step met each fault: function, effect, fault."""
        self._streams: dict[str, random.Random] = {}

    def chance(self, purpose: str) -> random.Random:
        """Return the chance of one purpose: what draws from another does not change it."""
        if purpose not in self._streams:
            self._streams[purpose] = random.Random(f"{self.seed}/{purpose}")
        return self._streams[purpose]

    def note(self, text: str) -> None:
        """Write down what happened."""
        self.trace.append(f"{self.timeline.passed:12.6f} {text}")

    @property
    def invocation(self) -> "Invocation | None":
        """The invocation that runs now; None for the world's own tasks."""
        owner: Invocation | None = self.timeline.owner
        return owner

    def perform(
        self,
        part: str,
        effect: str,
        act: Callable[[str | None], Answer],
        error: Callable[[str], Exception],
        kinds: Sequence[str] = ALWAYS,
    ) -> Answer:
        """Perform an effect of the running invocation, with whatever goes wrong; `act` is told if it happens partly."""
        invocation = self.invocation
        if invocation is None:
            return act(None)
        step = invocation.begin_step()
        kind = self.faults.at(step, part, effect, kinds)
        if part in self.away:
            kind = AWAY
        self.met[step.function, f"{part} {effect}", kind or "-"] += 1
        self.note(f"{step.function}#{step.invocation}.{step.step} {part} {effect}{f': {kind}' if kind else ''}")
        draw = self.chance(step.function)
        self._pass(invocation, LONG * draw.random() if kind in (SLOW, AWAY) else QUICK * draw.random())
        if kind == KILLED_BEFORE:
            invocation.die()
        if kind in (NO_ANSWER, AWAY):
            raise error(kind)
        answer = act(kind if kind == PARTLY else None)
        invocation.answered.add(part)
        if kind == KILLED_AFTER:
            invocation.die()
        if kind == ANSWER_LOST:
            raise error(kind)
        return answer

    def _pass(self, invocation: "Invocation", seconds: float) -> None:
        """Let time pass. Others run meanwhile; while a transaction is open, only at times: its locks stop them."""
        if invocation.process.in_transaction():
            share = 0.0 if self.faults.over else self.open_share
            if self.chance("open transactions").random() >= share:
                return
        self.timeline.sleep(seconds)
        invocation.check_alive()
