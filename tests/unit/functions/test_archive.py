"""What archive does with good and bad records, with the stores it touches replaced."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from sluice.core.archive.rows import Pack
from sluice.core.messages import Message
from sluice.edge.archive.archiving import Archiving, Delivery, Undelivered
from sluice.edge.failures import intake
from sluice.edge.failures.attempts import Attempts
from sluice.edge.failures.consuming import PAUSE, BatchConsumer
from sluice.edge.failures.holding import Holds
from sluice.edge.failures.quarantine import Quarantine, SharedAllowance
from sluice.edge.kafka_client import Delivery as Report
from sluice.edge.kafka_client import Unstored
from sluice.edge.metrics import metrics
from sluice.edge.retry import Retry
from tests.support import samples
from tests.support.attempts import PlayedCache

if TYPE_CHECKING:
    from sluice.edge.broker import Broker


class Killed(BaseException):
    """The end of a process: no code in it can catch this."""


@dataclass
class World:
    """A stream that may refuse, brokers that may be away, a cache, records that fail, and the results."""

    refuses: bool = False
    brokers_away: bool = False
    raising: set[int] = field(default_factory=set)
    killing: set[int] = field(default_factory=set)
    cache: PlayedCache = field(default_factory=PlayedCache)
    seconds_left: float = 120.0
    now: datetime = samples.NOW
    pauses: list[float] = field(default_factory=list)
    rest: Callable[[float], None] | None = None
    calls: list[list[int]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)

    def deliver(self, packs: Sequence[Pack], _patience: Retry) -> list[Undelivered]:
        rows = [json.loads(line) for pack in packs for line in pack.data.splitlines()]
        offsets = [row["kafka_offset"] for row in rows]
        if offsets:
            self.calls.append(offsets)
        if self.killing & set(offsets):
            raise Killed
        if self.raising & set(offsets):
            raise KeyError("an unforeseen error")
        if self.refuses:
            return [Undelivered(pack, "slow down") for pack in packs]
        self.rows += rows
        return []

    def store(self, messages: Sequence[Message]) -> list[Report]:
        if self.brokers_away:
            return [Unstored("no report")] * len(messages)
        self.letters += [json.loads(message.value) for message in messages]
        return [None] * len(messages)

    def archive(self, batch: dict[str, Any]) -> list[dict[str, Any]]:
        """Archive a batch in a new process and return what must be retried."""
        failures: list[dict[str, Any]] = self.answer(batch)["batchItemFailures"]
        return failures

    def answer(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Archive a batch in a new process and return its answer."""
        cache, broker = self.cache.as_cache(), cast("Broker", self)
        allowance = SharedAllowance(cache, "archive", processes=5)
        consumer = BatchConsumer(
            Archiving(samples.contracts(), cast("Delivery", self)),
            Attempts(cache, "archive"),
            Quarantine(broker, "dead-letter", "archive", allowance),
            Holds(cache, "archive", seconds=600),
            hold_seconds=0,
            record_seconds=12,
            clock=lambda: self.now,
            sleep=self.rest or self.pauses.append,
            briefly=0,
        )
        try:
            return consumer.consume(batch, lambda: self.seconds_left)
        finally:
            self.metrics = {name: sum(metric["Value"]) for name, metric in metrics.metric_set.items()}
            metrics.clear_metrics()

    def archive_until_answered(self, batch: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
        """Retry a batch until it is answered; return the number of tries, and the answer."""
        for deaths in range(20):
            try:
                return deaths, self.archive(batch)
            except (Killed, KeyError):
                self.calls.clear()
        raise AssertionError("the partition is blocked")


def again(offset: int) -> dict[str, Any]:
    return {"itemIdentifier": {"partition": "raw-events-4", "offset": offset}}


def batch_with_poison(*positions: int, size: int = 3) -> dict[str, Any]:
    """A batch of good records with poison at some positions."""
    batch: dict[str, Any] = samples.read("lambda/raw-events-batch.json")
    good = batch["records"]["raw-events-4"][0]
    records = [good | {"offset": 100 + index} for index in range(size)]
    for position in positions:
        records[position] = records[position] | {"value": base64.b64encode(b"\x00 no event").decode()}
    return batch | {"records": {"raw-events-4": records}}


def ahead(
    batch: dict[str, Any], *positions: int, header: str = '[2,"2026-11-20T09:30:05Z","demo","telemetry",1,8]'
) -> dict[str, Any]:
    """A batch in which the records at some positions are of a newer release."""
    records = list(batch["records"]["raw-events-4"])
    for position in positions:
        records[position] = records[position] | {"headers": [{"sluice": list(header.encode())}]}
    return batch | {"records": {"raw-events-4": records}}


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.shows_fault(part="consumer", fault="poison first, in the middle, last")
@pytest.mark.parametrize("position", [0, 1, 2])
def test_poison_goes_to_the_dead_letters_and_its_neighbours_are_processed(world: World, position: int) -> None:
    assert world.archive(batch_with_poison(position)) == []
    assert [row["kafka_offset"] for row in world.rows] == [
        offset for offset in (100, 101, 102) if offset != 100 + position
    ]
    (letter,) = world.letters
    assert (letter["reason"], letter["kafka_partition"], letter["kafka_offset"]) == ("poison_record", 4, 100 + position)
    assert letter["event"] == "\x00 no event"
    assert letter["consumer"] == "archive"


def test_poison_whose_letter_is_not_stored_is_retried(world: World) -> None:
    world.brokers_away = True
    assert world.archive(batch_with_poison(1)) == [{"itemIdentifier": {"partition": "raw-events-4", "offset": 101}}]
    assert len(world.rows) == 2
    assert not world.metrics.get("RecordsQuarantined")


def test_rows_that_are_not_taken_are_retried_from_the_first(world: World) -> None:
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


def test_a_batch_that_is_mostly_poison_halts_the_consumer_and_is_not_drained(world: World) -> None:
    for _ in range(5):
        assert world.archive(batch_with_poison(*range(30), size=40)) == [again(100)]
        assert world.metrics["QuarantineExceeded"] == 1
    assert world.letters == []
    assert world.rows == []


def test_a_consumer_that_halts_says_what_is_wrong_with_a_record_because_no_letter_does(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(intake.logger, "exception", lambda _message, **fields: told.append(fields))
    world.archive(batch_with_poison(*range(10), size=200))
    assert told == []
    world.archive(batch_with_poison(*range(3, 30), size=40))
    (halted,) = told
    assert (halted["topic"], halted["partition"], halted["offset"]) == ("raw-events", 4, 103)
    assert "the event breaks telemetry 1" in halted["reason"]
    assert halted["exc_info"].__traceback__ is not None


@pytest.mark.shows_fault(part="consumer", fault="every record fails, as after a bad deployment")
def test_small_batches_that_are_all_poison_halt_the_consumer_all_the_same(world: World) -> None:
    answers = [world.archive(batch_with_poison(*range(10), size=10)) for _ in range(12)]
    assert answers == [[]] * 10 + [[again(100)]] * 2
    assert len(world.letters) == 100
    # Each process by its share, since it cannot know the others' counts.
    world.cache.away = True
    assert world.archive(batch_with_poison(*range(10), size=10)) == []


def test_the_third_attempt_goes_one_by_one_and_only_what_raises_is_put_aside(world: World) -> None:
    world.raising = {102}
    for _ in range(2):
        with pytest.raises(KeyError):
            world.archive(batch_with_poison(size=5))
    world.calls.clear()
    assert world.archive(batch_with_poison(size=5)) == []
    assert world.calls == [[100], [101], [102], [103], [104]]
    assert [row["kafka_offset"] for row in world.rows] == [100, 101, 103, 104]
    (letter,) = world.letters
    assert (letter["reason"], letter["kafka_offset"], letter["attempts"]) == ("killer_record", 102, 3)
    assert "KeyError" in letter["detail"]
    assert world.metrics["RecordsQuarantined"] == 1
    # It returned an answer: the next batch that begins there is processed as usual.
    world.calls.clear()
    world.raising.clear()
    assert world.archive(batch_with_poison(size=5)) == []
    assert world.calls == [[100, 101, 102, 103, 104]]


def test_a_record_that_kills_twice_alone_is_put_aside_without_another_try_and_its_neighbours_continue(
    world: World,
) -> None:
    world.killing = {102}
    assert world.archive_until_answered(batch_with_poison(1, size=5)) == (4, [])
    assert world.calls == [[100], [103], [104]]
    assert {row["kafka_offset"] for row in world.rows} == {100, 103, 104}
    assert {(letter["reason"], letter["kafka_offset"]) for letter in world.letters} == {
        ("poison_record", 101),
        ("killer_record", 102),
    }
    killer = world.letters[-2] if world.letters[-1]["kafka_offset"] == 101 else world.letters[-1]
    event = samples.read("lambda/raw-events-batch.json")["records"]["raw-events-4"][0]["value"]
    assert killer["event"] == base64.b64decode(event).decode()
    assert "2 times" in killer["detail"]


def test_a_death_by_chance_among_single_records_quarantines_no_record(world: World) -> None:
    world.raising = {102}
    for _ in range(2):
        with pytest.raises(KeyError):
            world.archive(batch_with_poison(size=5))
    world.killing = {101}
    with pytest.raises(Killed):
        world.archive(batch_with_poison(size=5))
    world.killing.clear()
    assert world.archive(batch_with_poison(size=5)) == []
    assert [letter["kafka_offset"] for letter in world.letters] == [102]


def test_a_stream_that_refuses_is_no_death_and_costs_no_record_its_place(world: World) -> None:
    world.refuses = True
    for _ in range(6):
        assert world.archive(batch_with_poison(size=3)) == [again(100)]
    world.refuses = False
    world.calls.clear()
    assert world.archive(batch_with_poison(size=3)) == []
    assert world.calls == [[100, 101, 102]]
    assert world.letters == []


def test_a_stream_that_refuses_while_records_go_alone_is_no_death_either(world: World) -> None:
    world.raising = {102}
    for _ in range(2):
        with pytest.raises(KeyError):
            world.archive(batch_with_poison(size=3))
    world.raising.clear()
    world.refuses = True
    for _ in range(4):
        assert world.archive(batch_with_poison(size=3)) == [again(100)]
    world.refuses = False
    assert world.archive(batch_with_poison(size=3)) == []
    assert world.letters == []


def test_single_records_that_there_is_no_time_for_are_retried_and_continue_alone(world: World) -> None:
    world.raising = {104}
    for _ in range(2):
        with pytest.raises(KeyError):
            world.archive(batch_with_poison(size=5))
    world.calls.clear()
    world.seconds_left = 11
    assert world.archive(batch_with_poison(size=5)) == [again(100)]
    assert world.calls == []
    world.seconds_left = 120
    assert world.archive(batch_with_poison(size=5)) == []
    assert world.calls == [[100], [101], [102], [103], [104]]
    assert [letter["kafka_offset"] for letter in world.letters] == [104]


@pytest.mark.parametrize("breaks", ["raising", "killing"])
def test_when_every_record_breaks_the_consumer_it_halts_instead_of_draining_the_stream(
    world: World, breaks: str
) -> None:
    first, halted = 100, 0
    setattr(world, breaks, set(range(100, 1000)))
    for _ in range(2000):
        batch = batch_with_poison(size=first - 100 + 9)
        batch["records"]["raw-events-4"] = batch["records"]["raw-events-4"][first - 100 :]
        try:
            failures = world.archive(batch)
        except (Killed, KeyError):
            continue
        halted += bool(world.metrics.get("QuarantineExceeded"))
        first = failures[0]["itemIdentifier"]["offset"] if failures else first + 9
    assert halted > 10
    assert len(world.letters) <= 100
    assert world.rows == []


def test_while_the_cache_is_away_nothing_is_counted_and_everything_goes_as_it_did(world: World) -> None:
    world.cache.away = True
    world.raising = {101}
    for _ in range(6):
        with pytest.raises(KeyError):
            world.archive(batch_with_poison(size=3))
    assert set(map(tuple, world.calls)) == {(100, 101, 102)}
    world.raising.clear()
    assert world.archive(batch_with_poison(1)) == []
    assert [letter["reason"] for letter in world.letters] == ["poison_record"]


def test_a_killer_whose_letter_is_not_stored_is_given_back_and_is_not_tried_again(world: World) -> None:
    world.killing = {101}
    for _ in range(4):
        with pytest.raises(Killed):
            world.archive(batch_with_poison(size=3))
    world.brokers_away = True
    assert world.archive(batch_with_poison(size=3)) == [again(101)]
    assert not world.metrics.get("RecordsQuarantined")
    world.brokers_away = False
    rest = batch_with_poison(size=3)
    rest["records"]["raw-events-4"] = rest["records"]["raw-events-4"][1:]
    assert world.archive(rest) == []
    assert [letter["kafka_offset"] for letter in world.letters] == [101]


def test_a_record_of_a_newer_release_is_held_with_all_behind_it_and_what_comes_before_it_is_archived(
    world: World,
) -> None:
    assert world.archive(ahead(batch_with_poison(1, 3, size=5), 2)) == [again(102)]
    assert [row["kafka_offset"] for row in world.rows] == [100]
    # Records behind it get their letters later, in order.
    assert [letter["kafka_offset"] for letter in world.letters] == [101]
    assert (world.metrics["RecordsHeld"], world.metrics["RecordsQuarantined"]) == (1, 1)
    assert "QuarantineExceeded" not in world.metrics
    assert world.pauses == [PAUSE]


def test_other_partitions_continue_while_one_is_held(world: World) -> None:
    batch, other = ahead(batch_with_poison(size=2), 0), batch_with_poison(size=2)["records"]["raw-events-4"]
    batch["records"]["raw-events-7"] = [record | {"partition": 7} for record in other]
    assert world.archive(batch) == [again(100)]
    assert [(row["kafka_partition"], row["kafka_offset"]) for row in world.rows] == [(7, 100), (7, 101)]


def test_a_hold_ends_and_then_each_record_is_a_letter_at_once_that_costs_nothing_of_the_allowance(
    world: World,
) -> None:
    batch = ahead(batch_with_poison(size=400), *range(0, 400, 2))
    assert world.archive(batch) == [again(100)]
    world.now += timedelta(seconds=599)
    assert world.archive(batch) == [again(100)]
    assert world.letters == []
    world.now += timedelta(seconds=1)
    world.pauses.clear()
    assert world.archive(batch) == []
    assert [letter["kafka_offset"] for letter in world.letters] == list(range(100, 500, 2))
    assert {letter["reason"] for letter in world.letters} == {"version_ahead"}
    assert [row["kafka_offset"] for row in world.rows] == list(range(101, 500, 2))
    assert (world.metrics["RecordsHeld"], world.metrics["RecordsQuarantined"]) == (0, 200)
    assert world.pauses == []
    assert "quarantine:archive" not in world.cache.values
    # A record of another unknown version gets a hold of its own.
    other = ahead(batch_with_poison(size=2), 0, header='[3,"2026-11-20T09:30:05Z","demo","telemetry",1]')
    assert world.archive(other) == [again(100)]


def test_without_the_cache_a_record_of_a_newer_release_stays_held(world: World) -> None:
    world.cache.away = True
    for _ in range(3):
        world.now += timedelta(hours=1)
        assert world.archive(ahead(batch_with_poison(size=2), 1)) == [again(101)]
    assert world.letters == []


def test_a_held_record_is_no_suspect_however_often_it_is_delivered(world: World) -> None:
    for _ in range(10):
        assert world.archive(ahead(batch_with_poison(size=3), 1)) == [again(101)]
    # Together every time: nothing was tried alone, and nothing is remembered against it.
    assert world.calls == [[100]] * 10
    assert not any(world.cache.hashes.values())
    assert world.letters == []


def test_a_process_that_ends_while_it_rests_leaves_no_attempt_open(world: World) -> None:
    def die(_seconds: float) -> None:
        raise Killed

    world.rest = die
    for _ in range(5):
        with pytest.raises(Killed):
            world.archive(ahead(batch_with_poison(size=2), 1))
    assert world.calls == [[100]] * 5
    assert not any(world.cache.hashes.values())


def test_an_invocation_that_is_nearly_over_does_not_rest(world: World) -> None:
    world.seconds_left = 2 * PAUSE
    assert world.archive(ahead(batch_with_poison(size=2), 1)) == [again(101)]
    assert world.pauses == []


def test_a_record_that_is_ahead_is_retried_when_its_letter_is_not_stored(world: World) -> None:
    batch = ahead(batch_with_poison(size=2), 0)
    world.archive(batch)
    world.now += timedelta(seconds=600)
    world.brokers_away = True
    assert world.archive(batch) == [again(100)]
    world.brokers_away = False
    assert world.archive(batch) == []
    assert [letter["kafka_offset"] for letter in world.letters] == [100]
