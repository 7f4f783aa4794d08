"""What archive does with good and bad records, with the stores it touches replaced."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from functions.archive.handler import Parts, archive
from sluice.core.limits import Limits
from sluice.core.messages import Message
from sluice.core.packing import Pack
from sluice.core.quarantine import QuarantineExceededError
from sluice.edge.broker import Broker, Unstored
from sluice.edge.broker import Delivery as Report
from sluice.edge.delivery import Delivery, Undelivered
from sluice.edge.quarantine import Quarantine
from tests import samples


@dataclass
class World:
    """A stream that may refuse, brokers that may be away, and what both were given."""

    refuses: bool = False
    brokers_away: bool = False
    rows: list[dict[str, Any]] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)

    def deliver(self, packs: Sequence[Pack]) -> list[Undelivered]:
        if self.refuses:
            return [Undelivered(pack, "slow down") for pack in packs]
        self.rows += [json.loads(line) for pack in packs for line in pack.data.splitlines()]
        return []

    def store(self, messages: Sequence[Message]) -> list[Report]:
        if self.brokers_away:
            return [Unstored("no report")] * len(messages)
        self.letters += [json.loads(message.value) for message in messages]
        return [None] * len(messages)

    def archive(self, batch: dict[str, Any]) -> list[dict[str, Any]]:
        """Archive a batch and name what must come again."""
        quarantine = Quarantine(cast("Broker", self), "dead-letter", "archive", Limits().max_letter)
        parts = Parts(samples.contracts(), cast("Delivery", self), quarantine)
        failures: list[dict[str, Any]] = archive(batch, parts, samples.NOW)["batchItemFailures"]
        return failures


def batch_with_poison(*positions: int, size: int = 3) -> dict[str, Any]:
    """A batch of good records with poison at some positions."""
    batch: dict[str, Any] = samples.read("lambda/raw-events-batch.json")
    good = batch["records"]["raw-events-4"][0]
    records = [good | {"offset": 100 + index} for index in range(size)]
    for position in positions:
        records[position] = records[position] | {"value": base64.b64encode(b"\x00 no event").decode()}
    return batch | {"records": {"raw-events-4": records}}


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("position", [0, 1, 2])
def test_poison_goes_to_the_dead_letters_and_its_neighbours_go_on(world: World, position: int) -> None:
    assert world.archive(batch_with_poison(position)) == []
    assert [row["kafka_offset"] for row in world.rows] == [
        offset for offset in (100, 101, 102) if offset != 100 + position
    ]
    (letter,) = world.letters
    assert (letter["reason"], letter["kafka_partition"], letter["kafka_offset"]) == ("poison_record", 4, 100 + position)
    assert letter["event"] == "\x00 no event"
    assert letter["consumer"] == "archive"


def test_poison_whose_letter_is_not_stored_comes_again(world: World) -> None:
    world.brokers_away = True
    assert world.archive(batch_with_poison(1)) == [{"itemIdentifier": {"partition": "raw-events-4", "offset": 101}}]
    assert len(world.rows) == 2


def test_rows_that_are_not_taken_come_again_from_the_first(world: World) -> None:
    world.refuses = True
    assert world.archive(batch_with_poison(0)) == [{"itemIdentifier": {"partition": "raw-events-4", "offset": 101}}]


def test_poison_behind_rows_that_are_not_taken_is_left_for_the_next_try(world: World) -> None:
    world.refuses = True
    for _ in range(3):
        assert world.archive(batch_with_poison(2)) == [{"itemIdentifier": {"partition": "raw-events-4", "offset": 100}}]
    assert world.letters == []
    world.refuses = False
    assert world.archive(batch_with_poison(2)) == []
    assert len(world.letters) == 1


def test_a_batch_that_is_mostly_poison_stops_the_consumer_and_is_not_drained(world: World) -> None:
    with pytest.raises(QuarantineExceededError):
        world.archive(batch_with_poison(*range(30), size=40))
    assert world.letters == []
    assert world.rows == []
