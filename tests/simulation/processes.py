"""Functions as processes: each has its own memory, runs one invocation at a time, and can be killed at any step."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

from local.models.invoke_client import Answer, NotInvoked
from tests.simulation.faults import Place
from tests.simulation.timeline import Task
from tests.simulation.world import Killed, World


class Process:
    """One warm environment of a function."""

    def __init__(self, function: "SimulatedFunction", number: int) -> None:
        self.function = function
        self.number = number
        self.alive = True
        self.built: Any = None
        self.connections: list[Any] = []
        """Its connections to the database, which end with it."""

    def in_transaction(self) -> bool:
        """Whether one of its transactions is open."""
        return any(connection.is_in_transaction() for connection in self.connections)

    def end(self) -> None:
        """End it: the database rolls back what it had open."""
        self.alive = False
        for connection in self.connections:
            connection.abort()
        self.connections.clear()


@dataclass
class Invocation:
    """One run of a handler; also the context that the handler gets."""

    world: World
    process: Process
    number: int
    ends: float
    event: Any = None
    task: Task | None = None
    steps: int = 0
    answered: set[str] = field(default_factory=set)
    """The parts that have done something for it."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the time until the function is stopped."""
        return max(0, int((self.ends - self.world.timeline.passed) * 1000))

    def begin_step(self) -> Place:
        """Number the next step."""
        self.check_alive()
        self.steps += 1
        return Place(self.process.function.name, self.number, self.steps)

    def check_alive(self) -> None:
        """Stop here if the process is gone or its time is over."""
        if not self.process.alive:
            raise Killed
        if self.world.timeline.passed > self.ends:
            self.world.note(f"{self.process.function.name}#{self.number} timed out")
            self.die()

    def die(self) -> None:
        """End the process here."""
        self.process.end()
        raise Killed


@dataclass
class SimulatedFunction:
    """A function: its module, its settings, and its warm processes."""

    name: str
    module: ModuleType
    environment: dict[str, str]
    concurrency: int
    timeout_seconds: float
    idle: list[Process] = field(default_factory=list)
    running: int = 0
    build: Callable[[], Any] | None = None
    """The handler's own, without its memory."""


class Runtime:
    """Starts processes, and runs handlers in them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._functions: dict[str, SimulatedFunction] = {}
        self._numbers = count(1)
        self._invoked: Counter[str] = Counter()
        self.errors: defaultdict[str, list[BaseException]] = defaultdict(list)
        """What handlers raised."""

    def add(self, function: SimulatedFunction) -> None:
        """Add a function."""
        self._functions[function.name] = function

    def patches(self) -> list[Any]:
        """What lets each process of a handler's module have its own memory and settings."""
        patches: list[Any] = []
        for function in self._functions.values():
            own = getattr(function.module, "build", None)
            if own is not None:
                function.build = own.__wrapped__
                patches.append(mock.patch.object(function.module, "build", self._find_built))
            settings = SimpleNamespace(environ=function.environment)
            patches.append(mock.patch.object(function.module, "os", settings))
        return patches

    def invoke(self, name: str, event: Any) -> Answer:
        """Run a function to its end, or its process's; raise NotInvoked if all its processes are busy."""
        world, function = self._world, self._functions[name]
        if function.running >= function.concurrency:
            raise NotInvoked("429 TooManyRequests")
        process = self._start(function)
        self._invoked[name] += 1
        number = self._invoked[name]
        invocation = Invocation(world, process, number, world.timeline.passed + function.timeout_seconds, event)
        function.running += 1
        task = world.timeline.spawn(f"{name}#{number}", lambda: self._handle(function, invocation, event))
        task.owner = invocation
        payload, failed = task.join()
        return Answer(payload, failed, f"request-{name}-{number}")

    def kill_all(self, name: str) -> None:
        """End every process of a function; its invocations notice it at their next step."""
        function = self._functions[name]
        for process in function.idle:
            process.end()
        function.idle.clear()

    def close(self) -> None:
        """End every process."""
        for name in self._functions:
            self.kill_all(name)

    def _start(self, function: SimulatedFunction) -> Process:
        draw = self._world.chance("processes")
        if function.idle and (len(function.idle) + function.running >= function.concurrency or draw.random() < 0.9):
            return function.idle.pop(draw.randrange(len(function.idle)))
        return Process(function, next(self._numbers))

    def _handle(self, function: SimulatedFunction, invocation: Invocation, event: Any) -> tuple[bytes, bool]:
        process = invocation.process
        try:
            if process.built is None and function.build is not None:
                process.built = function.build()
            handler = function.module.handler
            # Without the decorator that writes metrics: nobody reads them here.
            answer = getattr(handler, "__wrapped__", handler)(event, invocation)
            invocation.check_alive()
        except Killed:
            self._world.note(f"{function.name}#{invocation.number} died")
            return b'{"errorType": "Runtime.ExitError"}', True
        except Exception as error:  # noqa: BLE001 - as Lambda does: the process goes on
            if not process.alive:
                # What it did while it ended failed as well.
                self._world.note(f"{function.name}#{invocation.number} died")
                return b'{"errorType": "Runtime.ExitError"}', True
            self._world.note(f"{function.name}#{invocation.number} raised {type(error).__name__}")
            self.errors[function.name].append(error)
            function.idle.append(process)
            return json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)}).encode(), True
        finally:
            function.running -= 1
        function.idle.append(process)
        return json.dumps(answer).encode(), False

    def _find_built(self) -> Any:
        invocation = self._world.invocation
        if invocation is None:
            raise RuntimeError("a function was built outside of an invocation")
        return invocation.process.built
