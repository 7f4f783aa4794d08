"""What each step of a handler costs, watched from outside."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

REST = "the rest"

Place = tuple[object, str]
"""A module or a class, and what it calls a step of its own."""


class Steps:
    """Wraps a handler's steps until the process ends."""

    def __init__(self, places: Mapping[str, Place], clock: Callable[[], float] = time.process_time) -> None:
        # By default the process's clock: what a client library's threads do meanwhile is a part of the step.
        self._clock = clock
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._calls: Counter[str] = Counter()
        self._watching = self._price_of_watching()
        for step, (owner, name) in places.items():
            # A name that no longer exists stops the bench.
            setattr(owner, name, self._watched(step, getattr(owner, name)))

    def take(self, whole: float) -> dict[str, float]:
        """Return the CPU seconds of each step since the last time, and what is left of the whole."""
        taken = {step: self._spent[step] - calls * self._watching for step, calls in self._calls.items()}
        taken[REST] = whole - sum(self._spent.values()) - self._calls.total() * self._watching
        self._spent.clear()
        self._calls.clear()
        return taken

    def _watched(self, step: str, function: Callable[..., Any]) -> Any:
        clock, spent, calls = self._clock, self._spent, self._calls

        def watched(*arguments: Any, **named: Any) -> Any:
            began = clock()
            try:
                return function(*arguments, **named)
            finally:
                spent[step] += clock() - began
                calls[step] += 1

        return watched

    def _price_of_watching(self) -> float:
        # The clock is a system call, and judging would carry a hundred of them a request.
        nothing, times = self._watched("nothing", lambda: None), 20_000
        for _ in range(times):
            nothing()
        price = self._spent["nothing"] / times
        self._spent.clear()
        self._calls.clear()
        return price
