"""Puts the simulated world in place of what the edges of the product reach: services, time and chance.

The edges' own code runs unchanged up to the clients of libraries. Whatever is replaced is put back at the end.
"""

import datetime as datetimes
import functools
import inspect
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any, Self
from unittest import mock

import confluent_kafka

from sluice.core.archive.rows import make_row
from sluice.core.samples.events import read_event
from sluice.edge import aws, broker, cache, database, executions
from sluice.edge import metrics as measuring
from sluice.edge.archive import archiving
from sluice.edge.events.schemas import load_contracts
from sluice.edge.rollups import roll_loop
from sluice.edge.samples import aggregating
from tests.simulation.broker import Brokers, SimulatedProducer
from tests.simulation.cache import SimulatedCache
from tests.simulation.database import HistoryDatabase, ask_effectively
from tests.simulation.inside import die_of, note_halts
from tests.simulation.kafka_reader import SimulatedReader
from tests.simulation.world import World
from tests.support.samples import contracts

OURS = ("sluice.", "functions.")


class SimulatedTime:
    """In place of the module time."""

    def __init__(self, world: World) -> None:
        self._world = world

    def monotonic(self) -> float:
        """Return the simulated seconds."""
        return self._world.timeline.passed

    def time(self) -> float:
        """Return the simulated seconds of the epoch."""
        return self._world.timeline.seconds()

    def sleep(self, seconds: float) -> None:
        """Let simulated time pass."""
        self._world.timeline.sleep(seconds)
        if self._world.invocation is not None:
            self._world.invocation.check_alive()


class SimulatedDatetime:
    """In place of the class datetime in modules that ask it for the moment; it makes real ones."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __call__(self, *arguments: Any, **named: Any) -> datetimes.datetime:
        return datetimes.datetime(*arguments, **named)  # noqa: DTZ001 - as the caller says

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, datetimes.datetime)

    def __getattr__(self, name: str) -> Any:
        return getattr(datetimes.datetime, name)

    def now(self, zone: datetimes.tzinfo) -> datetimes.datetime:
        """Return the simulated moment."""
        return self._world.timeline.now().astimezone(zone)


class SimulatedSecrets:
    """In place of the module secrets: chance that a seed repeats."""

    def __init__(self, world: World) -> None:
        self._draw = world.chance("secrets")

    def randbelow(self, bound: int) -> int:
        """Draw a number below a bound."""
        return self._draw.randrange(bound)

    def choice(self, choices: Any) -> Any:
        """Draw one of some."""
        return self._draw.choice(choices)

    def SystemRandom(self) -> Any:  # noqa: N802 - as the module names it
        """Return what draws a share."""
        return SimpleNamespace(random=self._draw.random)


class _NoWatch:
    """In place of the thread that cuts a connection by the machine's clock: statements take no simulated time."""

    @contextmanager
    def cut_after(self, connection: object, seconds: float) -> Iterator[None]:
        """Cut nothing."""
        del connection, seconds
        yield


class _OneAfterAnother:
    """In place of a pool of threads: a history has none, and the order of their work is the machine's."""

    def __init__(self, workers: int) -> None:
        del workers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def map(self, act: Callable[[Any], Any], things: Iterable[Any]) -> Iterator[Any]:
        """Do something with each thing, in their order."""
        return map(act, things)


@contextmanager
def simulated(
    world: World,
    brokers: Brokers,
    kept: SimulatedCache,
    store: HistoryDatabase,
    clients: Mapping[str, Any],
    others: list[Any],
) -> Iterator[None]:
    """Replace what the edges reach, until the block ends."""
    clock = SimulatedTime(world)

    def make_client(service: str, **_options: object) -> Any:
        return clients[service]

    def make_producer(_settings: object) -> SimulatedProducer:
        return SimulatedProducer(brokers)

    def make_roll_clock() -> roll_loop.Clock:
        return roll_clock(now=world.timeline.now, passed=clock.monotonic, sleep=clock.sleep)

    roll_clock = roll_loop.Clock
    replaced: list[Any] = [
        mock.patch.object(aws, "client", make_client),
        # It is kept for the life of a process, and a run has many histories.
        mock.patch.object(executions, "_client", return_value=clients["stepfunctions"]),
        mock.patch.object(broker, "connect", make_producer),
        mock.patch.object(cache, "connect", return_value=kept),
        mock.patch.object(database, "_open", store.connect),
        mock.patch.object(database, "ask", ask_effectively(database.ask)),
        mock.patch.object(database, "_Watch", _NoWatch),
        mock.patch.object(measuring.metrics, "add_metric", note_halts(world)),
        mock.patch.object(measuring, "single_metric"),
        mock.patch.object(roll_loop, "Clock", make_roll_clock),
        mock.patch.object(aggregating, "read_event", die_of(world, read_event)),
        mock.patch.object(archiving, "make_row", die_of(world, make_row)),
        *others,
        *_replace_modules(world, clock),
        *_replace_defaults(clock, brokers),
    ]
    with ExitStack() as stack:
        for each in replaced:
            stack.enter_context(each)
        yield


def _our_modules() -> list[ModuleType]:
    return [module for name, module in sorted(sys.modules.items()) if name.startswith(OURS) and module is not None]


@functools.cache
def _asks_for_the_moment(module: ModuleType) -> bool:
    """Return whether a module asks datetime for the moment; elsewhere the class names a type."""
    return "datetime.now" in inspect.getsource(module)


def _replace_modules(world: World, clock: SimulatedTime) -> Iterator[Any]:
    """Replace time and chance where modules use them by name."""
    moment, chance = SimulatedDatetime(world), SimulatedSecrets(world)
    for module in _our_modules():
        for real, simulated_one, name in (
            (time, clock, "time"),
            (secrets, chance, "secrets"),
            (datetimes.datetime, moment, "datetime"),
            (ThreadPoolExecutor, _OneAfterAnother, "ThreadPoolExecutor"),
            # They never change, and compiling them takes longer than most histories of a process.
            (load_contracts, contracts, "load_contracts"),
        ):
            if module.__dict__.get(name) is real and (name != "datetime" or _asks_for_the_moment(module)):
                yield mock.patch.object(module, name, simulated_one)


def _replace_defaults(clock: SimulatedTime, brokers: Brokers) -> Iterator[Any]:
    """Replace time, and the client that reads the brokers, where they are defaults of parameters."""
    simulated_ones: list[tuple[Any, Any]] = [
        (time.monotonic, clock.monotonic),
        (time.sleep, clock.sleep),
        (confluent_kafka.Consumer, lambda config: SimulatedReader(brokers, config)),
    ]

    def swap(value: Any) -> Any:
        return next((other for real, other in simulated_ones if value is real), value)

    for function in _our_functions():
        if function.__defaults__ and any(swap(each) is not each for each in function.__defaults__):
            yield mock.patch.object(function, "__defaults__", tuple(map(swap, function.__defaults__)))
        named = function.__kwdefaults__
        if named and any(swap(each) is not each for each in named.values()):
            yield mock.patch.object(function, "__kwdefaults__", {name: swap(each) for name, each in named.items()})


def _our_functions() -> Iterator[FunctionType]:
    seen: set[int] = set()

    def find(holder: Mapping[str, Any]) -> Iterator[FunctionType]:
        for value in list(holder.values()):
            if isinstance(value, FunctionType) and value.__module__.startswith(OURS) and id(value) not in seen:
                seen.add(id(value))
                yield value
            elif isinstance(value, type) and value.__module__.startswith(OURS) and id(value) not in seen:
                seen.add(id(value))
                yield from find(vars(value))

    for module in _our_modules():
        yield from find(vars(module))
