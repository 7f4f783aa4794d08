"""What each step of the ingest handler costs, watched from outside."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from functions.ingest import handler as ingest
from sluice.edge.broker import Broker

#: What the handler's module calls, by what the report calls it; a name that is gone stops the bench.
STEPS = {
    "read_request": "read request",
    "authenticate": "authenticate",
    "split_body": "split",
    "judge": "judge",
    "answer_results": "answer",
}
PRODUCE = "produce"
REST = "the rest"


class Steps:
    """Stands between the handler and its steps, for the rest of the process's life."""

    def __init__(self) -> None:
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._calls: Counter[str] = Counter()
        self._watching = self._price_of_watching()
        for name, step in STEPS.items():
            setattr(ingest, name, self._watched(step, getattr(ingest, name)))
        Broker.store = self._watched(PRODUCE, Broker.store)  # type: ignore[method-assign]

    def take(self, whole: float) -> dict[str, float]:
        """Return the CPU seconds of each step since the last time, and what is left of the whole."""
        taken = {step: self._spent[step] - calls * self._watching for step, calls in self._calls.items()}
        taken[REST] = whole - sum(self._spent.values()) - self._calls.total() * self._watching
        self._spent.clear()
        self._calls.clear()
        return taken

    def _watched(self, step: str, function: Callable[..., Any]) -> Any:
        # The process's clock: what the client library's threads do meanwhile is a part of producing.
        clock, spent, calls = time.process_time, self._spent, self._calls

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
