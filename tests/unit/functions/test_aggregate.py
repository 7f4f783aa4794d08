"""What aggregate does with good and bad records and with stores that are away, all of them played."""

import base64
import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from functions.aggregate.handler import Parts, aggregate, metrics
from sluice.core.errors import Retryable
from sluice.core.limits import Limits
from sluice.core.messages import Message
from sluice.core.quarantine import QuarantineExceededError
from sluice.core.records import Origin
from sluice.core.samples import COUNTED, Event, Unreadable
from sluice.edge.broker import Broker, Delivery, Unstored
from sluice.edge.cache import CacheAwayError
from sluice.edge.patience import Patience
from sluice.edge.quarantine import Quarantine
from sluice.edge.samples import Effect
from tests import samples

if TYPE_CHECKING:
    from sluice.edge.counters import Counters
    from sluice.edge.samples import Samples
    from sluice.edge.seen import Seen


@dataclass
class World:
    """The stores around aggregate, and a diary of what was done to them."""

    database_away: bool = False
    database_goes: bool = False  # away once samples are stored
    cache_away: bool = False
    brokers_away: bool = False
    known: set[int] = field(default_factory=set)
    diary: list[tuple[str, list[int]]] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)

    def suspects(self, events: Iterable[Event]) -> set[Origin]:
        return set() if self.cache_away else {event.origin for event in events if event.origin.offset in self.known}

    def mark(self, events: Sequence[Event]) -> None:
        self._note("mark", (event.origin for event in events), self.cache_away, CacheAwayError)

    def add(self, events: Sequence[Event], suspected: Collection[Origin] | None = None) -> Effect | None:
        """Both stores' one word: of the counters without, of the samples with what is suspected."""
        if suspected is None:
            self._note("count", (event.origin for event in events), self.cache_away, CacheAwayError)
            return None
        self._note("store", (event.origin for event in events), self.database_away, Retryable)
        self.database_away = self.database_goes
        return Effect(list(events), Counter((event.group, COUNTED) for event in events))

    def bury(self, unreadable: Sequence[Unreadable]) -> Effect:
        self._note("bury", (one.record.origin for one in unreadable), self.database_away, Retryable)
        return Effect([], Counter())

    def store(self, messages: Sequence[Message]) -> list[Delivery]:
        if self.brokers_away:
            return [Unstored("no report")] * len(messages)
        self.letters += [json.loads(message.value) for message in messages]
        self.diary.append(("letter", [letter["kafka_offset"] for letter in self.letters]))
        return [None] * len(messages)

    def _note(self, what: str, origins: Iterable[Origin], away: bool, error: type[Exception]) -> None:
        if away:
            raise error(what)
        offsets = [origin.offset for origin in origins]
        if offsets:
            self.diary.append((what, offsets))

    def aggregate(self, batch: dict[str, Any]) -> list[dict[str, Any]]:
        """Take a batch in and name what must come again."""
        parts = Parts(
            samples.contracts(),
            cast("Seen", self),
            cast("Samples", self),
            cast("Counters", self),
            Quarantine(cast("Broker", self), "dead-letter", "aggregate", Limits().max_letter),
            Patience(0.0),
            lambda: samples.NOW + timedelta(seconds=4),
        )
        try:
            failures: list[dict[str, Any]] = aggregate(batch, parts)["batchItemFailures"]
        finally:
            self.metrics = {name: sum(metric["Value"]) for name, metric in metrics.metric_set.items()}
            metrics.clear_metrics()
        return failures


def batch_of(*partitions: int, size: int = 3, poison: Collection[int] = ()) -> dict[str, Any]:
    """A batch of good records from some partitions, with poison at some offsets from 100 on."""
    batch: dict[str, Any] = samples.read("lambda/raw-events-batch.json")
    good = batch["records"]["raw-events-4"][0]
    bad = {"value": base64.b64encode(b"\x00 no event").decode()}
    return batch | {
        "records": {
            f"raw-events-{partition}": [
                good | {"partition": partition, "offset": 100 + index} | (bad if 100 + index in poison else {})
                for index in range(size)
            ]
            for partition in partitions
        }
    }


def first(partition: int, offset: int) -> dict[str, Any]:
    return {"itemIdentifier": {"partition": f"raw-events-{partition}", "offset": offset}}


@pytest.fixture
def world() -> World:
    return World()


def test_events_are_stored_before_anybody_remembers_or_counts_them(world: World) -> None:
    assert world.aggregate(batch_of(4)) == []
    offsets = [100, 101, 102]
    assert world.diary == [("store", offsets), ("mark", offsets), ("count", offsets)]


def test_a_database_that_is_away_gives_every_partition_back_from_its_first_record_and_nothing_is_remembered(
    world: World,
) -> None:
    world.database_away = True
    assert world.aggregate(batch_of(4, 7, poison=[101])) == [first(4, 100), first(7, 100)]
    assert world.diary == []
    assert world.metrics["RecordsFailed"] == 6


def test_a_cache_that_is_away_changes_nothing_but_the_live_counters(world: World) -> None:
    world.cache_away = True
    assert world.aggregate(batch_of(4)) == []
    assert world.diary == [("store", [100, 101, 102])]
    assert world.metrics["SamplesStored"] == 3


@pytest.mark.parametrize("position", [100, 101, 102])
def test_poison_goes_to_the_dead_letters_after_its_neighbours_are_stored(world: World, position: int) -> None:
    assert world.aggregate(batch_of(4, poison=[position])) == []
    rest = [offset for offset in (100, 101, 102) if offset != position]
    assert [entry for entry in world.diary if entry[0] in ("store", "letter", "bury")] == [
        ("store", rest),
        ("letter", [position]),
        ("bury", [position]),
    ]
    (letter,) = world.letters
    assert (letter["reason"], letter["consumer"], letter["event"]) == ("poison_record", "aggregate", "\x00 no event")


def test_poison_whose_letter_is_not_stored_comes_again_and_is_not_covered(world: World) -> None:
    world.brokers_away = True
    assert world.aggregate(batch_of(4, poison=[101])) == [first(4, 101)]
    assert "bury" not in dict(world.diary)


def test_poison_that_cannot_be_covered_comes_again(world: World) -> None:
    world.database_goes = True
    assert world.aggregate(batch_of(4, poison=[102])) == [first(4, 102)]


def test_a_batch_that_is_mostly_poison_stops_the_consumer_and_is_not_drained(world: World) -> None:
    with pytest.raises(QuarantineExceededError):
        world.aggregate(batch_of(4, size=40, poison=range(100, 130)))
    assert world.diary == []


def test_a_batch_says_how_old_its_oldest_event_is_once_it_can_be_seen(world: World) -> None:
    world.aggregate(batch_of(4))
    assert world.metrics["OldestEventSeconds"] == 4.0
    assert world.metrics["EventsDuplicate"] == world.metrics["EventsLate"] == 0
