"""Simulated time, and the tasks that run in it: one at a time, each until it waits; the earliest goes on next.

A task is a greenlet, so that the product's own code, which waits by calling a function, needs no change. Nothing here
depends on the machine: which task runs when follows from the times alone.
"""

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

BEGINS = datetime(2026, 3, 2, 9, 40, tzinfo=UTC)
"""When every history begins: twenty minutes before an hour ends."""


class Task:
    """Something that runs in simulated time."""

    def __init__(self, timeline: "Timeline", name: str, work: Callable[[], Any]) -> None:
        self.name = name
        self.ended = False
        self.value: Any = None
        self.owner: Any = None
        """Whoever the task works for; the world asks it for the process."""
        self._timeline = timeline
        self._waiting: list[Task] = []
        self._greenlet = greenlet(lambda: self._run(work), timeline.hub)

    def join(self) -> Any:
        """Wait, from another task, until this one has ended; return its value."""
        if not self.ended:
            self._waiting.append(self._timeline.current)
            self._timeline.park()
        return self.value

    def resume(self) -> None:
        """Go on with it; only the timeline does."""
        self._greenlet.parent = self._timeline.hub
        self._greenlet.switch()

    def throw(self, error: BaseException) -> None:
        """Raise an error where the task waits, now."""
        self._greenlet.parent = getcurrent()
        self._greenlet.throw(error)

    def end(self) -> None:
        """End it wherever it is, without a trace; for the end of a history."""
        if not self.ended and self._greenlet:
            self.throw(GreenletExit())
        self.ended = True

    def _run(self, work: Callable[[], Any]) -> None:
        try:
            self.value = work()
        finally:
            self.ended = True
            for each in self._waiting:
                self._timeline.wake(each)
            self._waiting.clear()


class Timeline:
    """The clock, and the tasks that wait for it."""

    def __init__(self, begins: datetime = BEGINS) -> None:
        self.hub = getcurrent()
        self._current: Task | None = None
        self._begins = begins
        self._passed = 0.0
        self._due: list[tuple[float, int, Task]] = []
        self._numbers = count()
        self._tasks: list[Task] = []

    @property
    def current(self) -> Task:
        """The task that runs now."""
        if self._current is None:
            raise RuntimeError("no task runs")
        return self._current

    @property
    def owner(self) -> Any:
        """Whoever the running task works for, if one runs."""
        return None if self._current is None else self._current.owner

    @property
    def passed(self) -> float:
        """How many seconds have passed since the beginning."""
        return self._passed

    def now(self) -> datetime:
        """The moment, in UTC."""
        return self._begins + timedelta(seconds=self._passed)

    def seconds(self) -> float:
        """The moment as seconds of the epoch."""
        return self._begins.timestamp() + self._passed

    def spawn(self, name: str, work: Callable[[], Any], after: float = 0.0) -> Task:
        """Begin something after so many seconds."""
        task = Task(self, name, work)
        self._tasks.append(task)
        self._schedule(task, after)
        return task

    def sleep(self, seconds: float) -> None:
        """Let others run for so many seconds."""
        self._schedule(self.current, max(0.0, seconds))
        self.park()

    def park(self) -> None:
        """Wait until someone wakes the running task."""
        task = self.current
        self.hub.switch()
        self._current = task

    def wake(self, task: Task) -> None:
        """Let a parked task go on."""
        self._schedule(task, 0.0)

    def run(self, until: Callable[[], bool], at_most: float) -> bool:
        """Run tasks until a condition holds, or so many seconds have passed; return whether it holds."""
        ends = self._passed + at_most
        while not until():
            if not self._due or self._due[0][0] > ends:
                self._passed = ends
                return until()
            moment, _, task = heapq.heappop(self._due)
            if task.ended:
                continue
            self._passed = max(self._passed, moment)
            self._current = task
            try:
                task.resume()
            finally:
                self._current = None
        return True

    def close(self) -> None:
        """End every task."""
        for task in self._tasks:
            task.end()

    def _schedule(self, task: Task, after: float) -> None:
        heapq.heappush(self._due, (self._passed + after, next(self._numbers), task))
