"""What recount does with good and bad records and with stores that are away. All stores are fakes."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from sluice.core.errors import Retryable
from sluice.core.events.envelope import HEADER as ENVELOPE
from sluice.core.events.envelope import Envelope, write_envelope
from sluice.core.failures.sorting import Faulty
from sluice.core.limits import Limits
from sluice.core.messages import Message
from sluice.core.records import Origin
from sluice.core.replay.records import HEADER, Replayed
from sluice.edge.failures.attempts import Attempts
from sluice.edge.failures.consuming import BatchConsumer
from sluice.edge.failures.holding import Holds
from sluice.edge.failures.quarantine import Quarantine, SharedAllowance
from sluice.edge.kafka_client import Delivery
from sluice.edge.metrics import metrics
from sluice.edge.replay.recounting import Recounted, Recounting
from sluice.edge.retry import Retry
from tests.support import samples
from tests.support.attempts import PlayedCache

RECEIVED = samples.NOW - timedelta(days=2)
"""Replayed events were received long ago."""


@dataclass
class World:
    """The stores around recount, and what they were given."""

    database_away: bool = False
    added: list[Recounted] = field(default_factory=list)
    covered: list[int] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)
    attempts: PlayedCache = field(default_factory=PlayedCache)
    now: datetime = samples.NOW

    def store(self, messages: Sequence[Message]) -> list[Delivery]:
        self.letters += [json.loads(message.value) for message in messages]
        return [None] * len(messages)

    def recount(self, batch: dict[str, Any]) -> list[dict[str, Any]]:
        """Process a batch in a new process, and return what must be retried."""
        cache, broker = self.attempts.as_cache(), cast("Any", self)
        consumer = BatchConsumer(
            Work(self),
            Attempts(cache, "recount"),
            Quarantine(broker, "dead-letter", "recount", SharedAllowance(cache, "recount", processes=4)),
            Holds(cache, "recount", seconds=600),
            hold_seconds=0,
            record_seconds=12,
            clock=lambda: self.now,
            sleep=lambda _: None,
            briefly=0,
        )
        failures: list[dict[str, Any]] = consumer.consume(batch, lambda: 120.0)["batchItemFailures"]
        metrics.clear_metrics()
        return failures


class Work(Recounting):
    """The work of recount, over a database that is a list."""

    def __init__(self, world: World) -> None:
        nothing: Any = None
        super().__init__(samples.contracts(), Limits(), nothing, nothing, "recount")
        self._world = world

    def take_in(self, records: Sequence[tuple[Origin, Recounted]], retry: Retry) -> set[Origin]:
        del retry
        self.ask()
        self._world.added += [one for _, one in records]
        return set()

    def ask(self) -> None:
        if self._world.database_away:
            raise Retryable("the database is away")

    def cover(self, records: Sequence[Faulty], now: datetime) -> None:
        del now
        self.ask()
        self._world.covered += [one.origin.offset for one, _ in records]


def record(offset: int, headers: Mapping[str, bytes] | None = None, value: bytes | None = None) -> dict[str, Any]:
    """A record as Lambda gives it: header bytes are numbers."""
    envelope = Envelope(1, RECEIVED, "demo", "telemetry", 2, ("late_arrival",), "c-1")
    event = value or samples.read_bytes("telemetry-v2.json")
    held = {ENVELOPE: write_envelope(envelope), HEADER: f"[1,7,4,{1000 + offset}]".encode()} | dict(headers or {})
    return {
        "topic": "replay-events",
        "partition": 4,
        "offset": offset,
        "key": base64.b64encode(b"press-0008").decode(),
        "value": base64.b64encode(event).decode(),
        "headers": [{name: list(written)} for name, written in held.items() if written],
    }


def batch(*records: dict[str, Any]) -> dict[str, Any]:
    return {"records": {"replay-events-4": list(records)}}


def first(offset: int) -> dict[str, Any]:
    return {"itemIdentifier": {"partition": "replay-events-4", "offset": offset}}


@pytest.fixture
def world() -> World:
    return World()


def test_an_event_is_read_as_of_its_first_reception_with_its_place_in_raw_events(world: World) -> None:
    assert world.recount(batch(record(0))) == []
    (added,) = world.added
    assert added.replayed == Replayed(1, 7, 4, 1000)
    assert (added.event.received_at, added.event.late) == (RECEIVED, True)
    assert (added.event.fleet_id, added.event.group.contract) == ("demo", "telemetry")


@pytest.mark.parametrize(
    "bad",
    [
        record(1, {HEADER: b""}),
        record(1, {HEADER: b"[1]"}),
        record(1, {ENVELOPE: b""}),
        record(1, value=b"\x00 no event"),
    ],
)
def test_what_cannot_be_read_becomes_a_dead_letter_and_its_neighbours_are_counted(
    world: World, bad: dict[str, Any]
) -> None:
    assert world.recount(batch(record(0), bad, record(2))) == []
    assert [one.replayed.raw_offset for one in world.added] == [1000, 1002]
    assert [(letter["reason"], letter["kafka_offset"]) for letter in world.letters] == [("poison_record", 1)]
    # Covered, so that no replay waits for it.
    assert world.covered == [1]


def test_a_record_of_a_newer_release_is_held_with_all_after_it(world: World) -> None:
    assert world.recount(batch(record(0), record(1, {HEADER: b"[2,7,4,1001]"}), record(2))) == [first(1)]
    assert [one.replayed.raw_offset for one in world.added] == [1000]
    assert world.letters == []


def test_while_the_database_is_away_everything_is_retried(world: World) -> None:
    world.database_away = True
    assert world.recount(batch(record(0), record(1, {HEADER: b""}))) == [first(0)]
    assert (world.letters, world.covered) == ([], [])
