"""What aggregate does with good and bad records and with stores that are away. All stores are fakes."""

import base64
import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from sluice.core.consumers import COUNTED
from sluice.core.errors import Retryable
from sluice.core.limits import Limits
from sluice.core.messages import Message
from sluice.core.records import Origin
from sluice.core.samples.events import Event, Unreadable
from sluice.edge.cache import CacheAwayError
from sluice.edge.failures.attempts import Attempts
from sluice.edge.failures.consuming import BatchConsumer
from sluice.edge.failures.holding import Holds
from sluice.edge.failures.quarantine import Quarantine, SharedAllowance
from sluice.edge.kafka_client import Delivery, Unstored
from sluice.edge.metrics import metrics
from sluice.edge.samples.aggregating import Aggregating
from sluice.edge.samples.storing import Effect
from tests.support import samples
from tests.support.attempts import PlayedCache

if TYPE_CHECKING:
    from sluice.edge.broker import Broker
    from sluice.edge.samples.counters import Counters
    from sluice.edge.samples.duplicate_hints import DuplicateHints
    from sluice.edge.samples.storing import Samples


class Killed(BaseException):
    """The end of a process: no code in it can catch this."""


@dataclass
class World:
    """The stores around aggregate, and a log of the calls to them."""

    database_away: bool = False
    database_goes: bool = False  # away once samples are stored
    cache_away: bool = False
    brokers_away: bool = False
    raising: set[int] = field(default_factory=set)
    killing: set[int] = field(default_factory=set)
    counted_before: set[int] = field(default_factory=set)
    attempts: PlayedCache = field(default_factory=PlayedCache)
    seconds_left: float = 120.0
    known: set[int] = field(default_factory=set)
    duplicates: set[int] = field(default_factory=set)
    lacking: list[int] = field(default_factory=list)
    """What the windows lack although its dead letter is stored."""
    now: datetime = samples.NOW + timedelta(seconds=4)
    pauses: list[float] = field(default_factory=list)
    diary: list[tuple[str, list[int]]] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)

    def suspects(self, events: Iterable[Event]) -> set[Origin]:
        return set() if self.cache_away else {event.origin for event in events if event.origin.offset in self.known}

    def mark(self, events: Sequence[Event]) -> None:
        self._note("mark", (event.origin for event in events), self.cache_away, CacheAwayError)

    def add(self, events: Sequence[Event], suspected: Collection[Origin] | None = None) -> Effect | None:
        """The `add` of both stores: counters take the events only, samples also the suspects."""
        if suspected is None:
            self._note("count", (event.origin for event in events), self.cache_away, CacheAwayError)
            return None
        if not events:
            return Effect([], [], Counter())
        offsets = {event.origin.offset for event in events}
        if self.killing & offsets:
            raise Killed
        if self.raising & offsets:
            raise KeyError("an unforeseen error")
        self._note("store", (event.origin for event in events), self.database_away, Retryable)
        self.database_away = self.database_goes
        counted = [event for event in events if event.origin.offset not in self.duplicates]
        return Effect(list(events), counted, Counter((event.group, COUNTED) for event in counted))

    def ask(self) -> None:
        self._note("ask", (), self.database_away, Retryable)

    def has(self, record: Unreadable) -> bool:
        self._note("has", (), self.database_away, Retryable)
        return record.origin.offset in self.counted_before

    def bury(self, unreadable: Sequence[Unreadable]) -> None:
        self._note("bury", (one.origin for one in unreadable), self.database_away, Retryable)
        self.lacking += [one.origin.offset for one in unreadable if one.ahead]

    def store(self, messages: Sequence[Message]) -> list[Delivery]:
        if self.brokers_away:
            return [Unstored("no report")] * len(messages)
        letters = [json.loads(message.value) for message in messages]
        self.letters += letters
        self.diary.append(("letter", [letter["kafka_offset"] for letter in letters]))
        return [None] * len(messages)

    def _note(self, what: str, origins: Iterable[Origin], away: bool, error: type[Exception]) -> None:
        if away:
            raise error(what)
        offsets = [origin.offset for origin in origins]
        if offsets:
            self.diary.append((what, offsets))

    def aggregate(self, batch: dict[str, Any]) -> list[dict[str, Any]]:
        """Process a batch in a new process, and return what must be retried."""
        cache, broker = self.attempts.as_cache(), cast("Broker", self)
        allowance = SharedAllowance(cache, "aggregate", processes=4)
        work = Aggregating(
            samples.contracts(),
            Limits(),
            cast("DuplicateHints", self),
            cast("Samples", self),
            cast("Counters", self),
            lambda: self.now,
        )
        consumer = BatchConsumer(
            work,
            Attempts(cache, "aggregate"),
            Quarantine(broker, "dead-letter", "aggregate", allowance),
            Holds(cache, "aggregate", seconds=600),
            hold_seconds=0,
            record_seconds=12,
            clock=lambda: self.now,
            sleep=self.pauses.append,
            briefly=0,
        )
        try:
            failures: list[dict[str, Any]] = consumer.consume(batch, lambda: self.seconds_left)["batchItemFailures"]
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


@pytest.mark.shows_fault(part="cache", fault="down, flushed")
def test_a_cache_that_is_away_changes_nothing_but_the_live_counters(world: World) -> None:
    world.cache_away = True
    assert world.aggregate(batch_of(4)) == []
    assert world.diary == [("store", [100, 101, 102])]
    assert world.metrics["SamplesStored"] == 3


@pytest.mark.shows_fault(part="consumer", fault="poison first, in the middle, last")
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


def test_poison_whose_letter_is_not_stored_is_retried_and_is_not_covered(world: World) -> None:
    world.brokers_away = True
    assert world.aggregate(batch_of(4, poison=[101])) == [first(4, 101)]
    assert "bury" not in dict(world.diary)
    assert not world.metrics.get("RecordsQuarantined")


def test_poison_that_cannot_be_covered_is_retried(world: World) -> None:
    world.database_goes = True
    assert world.aggregate(batch_of(4, poison=[102])) == [first(4, 102)]


def test_poison_alone_is_not_put_aside_while_the_database_is_away(world: World) -> None:
    world.database_away = True
    for _ in range(110):
        assert world.aggregate(batch_of(4, size=1, poison=[100])) == [first(4, 100)]
        assert "QuarantineExceeded" not in world.metrics
    assert world.letters == []
    world.database_away = False
    assert world.aggregate(batch_of(4, size=1, poison=[100])) == []
    assert world.diary == [("letter", [100]), ("bury", [100])]


def test_what_cannot_be_covered_is_not_taken_from_the_allowance(world: World) -> None:
    world.database_goes = True
    for _ in range(110):
        world.database_away = False
        assert world.aggregate(batch_of(4, poison=[102])) == [first(4, 102)]
        assert world.metrics.get("QuarantineExceeded", 0) == 0
    world.database_away = world.database_goes = False
    assert world.aggregate(batch_of(4, poison=[102])) == []
    assert float(world.attempts.values["quarantine:aggregate"]) == pytest.approx(99.2)


def test_a_killer_gets_no_letter_while_the_database_is_away(world: World) -> None:
    world.killing = {100}
    for _ in range(4):
        with pytest.raises(Killed):
            world.aggregate(batch_of(4, size=1))
    world.database_away = True
    for _ in range(110):
        assert world.aggregate(batch_of(4, size=1)) == [first(4, 100)]
    assert world.letters == []
    world.database_away = False
    assert world.aggregate(batch_of(4, size=1)) == []
    assert world.diary == [("letter", [100]), ("bury", [100])]


def test_a_record_that_counted_before_it_ended_its_process_gets_no_letter(world: World) -> None:
    world.killing = {100}
    for _ in range(4):
        with pytest.raises(Killed):
            world.aggregate(batch_of(4, size=1))
    world.counted_before = {100}
    world.database_away = True
    assert world.aggregate(batch_of(4, size=1)) == [first(4, 100)]
    world.database_away = False
    assert world.aggregate(batch_of(4, size=1)) == []
    assert (world.letters, world.diary) == ([], [])


def test_a_killer_that_is_run_again_is_found_while_its_partition_is_delivered(world: World) -> None:
    world.killing = {101}
    hole, delivered = batch_of(4) | {"rerun": 100}, batch_of(4)
    delivered["records"]["raw-events-4"] = [
        {**record, "offset": 500} for record in delivered["records"]["raw-events-4"]
    ]
    for _ in range(4):
        with pytest.raises(Killed):
            world.aggregate(hole)
        assert world.aggregate(delivered) == []
    assert world.aggregate(hole) == []
    assert [letter["kafka_offset"] for letter in world.letters] == [101]


def test_a_batch_that_is_mostly_poison_halts_the_consumer_and_is_not_drained(world: World) -> None:
    for _ in range(5):
        assert world.aggregate(batch_of(4, size=40, poison=range(100, 130))) == [first(4, 100)]
        assert world.metrics["QuarantineExceeded"] == 1
    assert world.diary == []


def test_small_batches_that_are_all_poison_halt_the_consumer_all_the_same(world: World) -> None:
    answers = [world.aggregate(batch_of(4, size=10, poison=range(100, 110))) for _ in range(12)]
    assert answers == [[]] * 10 + [[first(4, 100)]] * 2
    assert len(world.letters) == 100


def test_what_breaks_aggregate_is_put_aside_and_covered_and_its_neighbours_are_stored(world: World) -> None:
    world.raising = {101}
    for _ in range(2):
        with pytest.raises(KeyError):
            world.aggregate(batch_of(4, 7))
    world.raising = {101}
    assert world.aggregate(batch_of(4, 7)) == []
    done = [entry for entry in world.diary if entry[0] in ("store", "letter", "bury")]
    one_partition = [("store", [100]), ("letter", [101]), ("bury", [101]), ("store", [102])]
    assert done == one_partition * 2
    assert {(letter["reason"], letter["kafka_partition"]) for letter in world.letters} == {
        ("killer_record", 4),
        ("killer_record", 7),
    }
    assert {letter["fleet_id"] for letter in world.letters} == {"demo"}
    assert world.metrics["RecordsQuarantined"] == 2


def test_a_record_that_kills_twice_alone_is_put_aside_without_another_try(world: World) -> None:
    world.killing = {101}
    for _ in range(4):
        with pytest.raises(Killed):
            world.aggregate(batch_of(4))
    world.diary.clear()
    assert world.aggregate(batch_of(4)) == []
    done = [entry for entry in world.diary if entry[0] in ("store", "letter", "bury")]
    assert done == [("store", [100]), ("letter", [101]), ("bury", [101]), ("store", [102])]


def test_a_killer_that_cannot_be_covered_is_given_back_and_is_not_tried_again(world: World) -> None:
    world.killing = {101}
    for _ in range(4):
        with pytest.raises(Killed):
            world.aggregate(batch_of(4))
    world.database_goes = True
    assert world.aggregate(batch_of(4)) == [first(4, 101)]
    world.database_away = world.database_goes = False
    rest = batch_of(4)
    rest["records"]["raw-events-4"] = rest["records"]["raw-events-4"][1:]
    assert world.aggregate(rest) == []
    assert world.diary[-3:] == [("store", [102]), ("mark", [102]), ("count", [102])]


def test_a_database_that_is_away_is_no_death_and_no_record_is_to_blame(world: World) -> None:
    world.database_away = True
    for _ in range(6):
        assert world.aggregate(batch_of(4)) == [first(4, 100)]
    world.raising = {101}
    world.database_away = False
    for _ in range(2):
        with pytest.raises(KeyError):
            world.aggregate(batch_of(4))
    world.raising.clear()
    world.database_away = True
    for _ in range(6):
        assert world.aggregate(batch_of(4)) == [first(4, 100)]
    world.database_away = False
    assert world.aggregate(batch_of(4)) == []
    assert world.letters == []


def test_when_every_record_breaks_aggregate_it_halts_instead_of_draining_the_stream(world: World) -> None:
    world.raising = set(range(100, 400))
    batch, halted = batch_of(4, size=300), 0
    for _ in range(30):
        try:
            failures = world.aggregate(batch)
        except KeyError:
            continue
        halted += bool(world.metrics.get("QuarantineExceeded"))
        offset = failures[0]["itemIdentifier"]["offset"]
        batch = batch_of(4, size=300)
        batch["records"]["raw-events-4"] = batch["records"]["raw-events-4"][offset - 100 :]
    assert halted > 5
    assert [letter["kafka_offset"] for letter in world.letters] == list(range(100, 200))


def test_while_nothing_can_be_counted_everything_goes_as_it_did(world: World) -> None:
    world.attempts.away = True
    world.raising = {101}
    for _ in range(6):
        with pytest.raises(KeyError):
            world.aggregate(batch_of(4))
    world.raising.clear()
    assert world.aggregate(batch_of(4, poison=[101])) == []
    assert [letter["reason"] for letter in world.letters] == ["poison_record"]


def test_a_batch_says_how_old_its_oldest_event_is_once_it_can_be_seen(world: World) -> None:
    world.aggregate(batch_of(4))
    assert world.metrics["OldestEventSeconds"] == 4.0
    assert world.metrics["EventsDuplicate"] == world.metrics["EventsLate"] == 0


def ahead(batch: dict[str, Any], *offsets: int) -> dict[str, Any]:
    """A batch in which some records are of a newer release."""
    header = list(b'[1,"2026-11-20T09:30:05.250000Z","demo","telemetry",4,[],"c"]')
    places = {
        place: [
            record | ({"headers": [{"sluice": header}]} if record["offset"] in offsets else {}) for record in records
        ]
        for place, records in batch["records"].items()
    }
    return batch | {"records": places}


def test_a_record_of_a_newer_contract_is_held_and_then_its_letter_is_covered_and_its_windows_lack_it(
    world: World,
) -> None:
    batch = ahead(batch_of(4, 7), 101)
    assert world.aggregate(batch) == [first(4, 101), first(7, 101)]
    assert world.diary[0] == ("store", [100, 100])
    assert (world.metrics["RecordsHeld"], world.metrics["SamplesStored"]) == (2, 2)
    world.now += timedelta(seconds=600)
    world.diary.clear()
    assert world.aggregate(batch) == []
    assert [entry for entry in world.diary if entry[0] in ("store", "letter", "bury")] == [
        ("store", [100, 102, 100, 102]),
        ("letter", [101, 101]),
        ("bury", [101, 101]),
    ]
    assert world.lacking == [101, 101]
    assert {(letter["reason"], letter["schema_version"]) for letter in world.letters} == {("version_ahead", 4)}


def test_records_that_are_all_ahead_never_halt_the_consumer(world: World) -> None:
    batch = ahead(batch_of(4, size=300), *range(100, 400))
    assert world.aggregate(batch) == [first(4, 100)]
    assert world.diary == []
    world.now += timedelta(seconds=600)
    for _ in range(3):
        assert world.aggregate(batch) == []
        assert "QuarantineExceeded" not in world.metrics
    assert len(world.letters) == 900


def test_records_ahead_get_no_letter_while_the_database_is_away(world: World) -> None:
    batch = ahead(batch_of(4, size=2), 100, 101)
    world.aggregate(batch)
    world.now += timedelta(seconds=600)
    world.database_away = True
    assert world.aggregate(batch) == [first(4, 100)]
    assert world.letters == []


def test_only_what_became_a_sample_is_in_the_live_counters(world: World) -> None:
    world.duplicates = {101}
    assert world.aggregate(batch_of(4)) == []
    assert ("count", [100, 102]) in world.diary
    # That it was seen is still remembered.
    assert ("mark", [100, 101, 102]) in world.diary
