"""What the world does and sees inside of handlers: processes that end at a record, and consumers that halt."""

from collections.abc import Callable
from typing import Any

from sluice.core.metrics import QUARANTINE_EXCEEDED
from sluice.core.records import KafkaRecord
from tests.simulation.world import World


def die_of(world: World, read: Callable[..., Any]) -> Callable[..., Any]:
    """Let a process end when it reads what is deadly to its function, as a fault of a parser does."""

    def read_or_die(record: KafkaRecord, *more: Any, **named: Any) -> Any:
        invocation = world.invocation
        if invocation is not None and record.value in world.deadly.get(invocation.process.function.name, ()):
            world.witness.note_death(record.origin, invocation)
            invocation.die()
        return read(record, *more, **named)

    return read_or_die


def note_halts(world: World) -> Callable[..., None]:
    """Let the witness see that a consumer halts: only its metric says so. Nobody reads the others."""

    def add_metric(name: str, *_unit_and_value: object) -> None:
        if name == QUARANTINE_EXCEEDED.name and world.invocation is not None:
            world.witness.note_halt(world.invocation)

    return add_metric
