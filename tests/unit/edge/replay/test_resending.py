"""A chunk is sent whole or not at all, at a bounded rate, and nothing of a replay that is over is sent."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from sluice.core.errors import Retryable
from sluice.core.limits import Limits
from sluice.core.messages import Message
from sluice.core.replay.chunks import FilePart
from sluice.core.replay.records import HEADER, read_replayed
from sluice.edge.kafka_client import Delivery, Unstored
from sluice.edge.replay.raw_files import Scope
from sluice.edge.replay.resending import PIECE, TRIES, Chunk, Resending
from tests.unit.edge.replay.parquet import Files, row, write_file

NINE, TEN = datetime(2026, 11, 20, 9, tzinfo=UTC), datetime(2026, 11, 20, 10, tzinfo=UTC)
UNKNOWN, REFUSED = Unstored("no report within the deadline", answered=False), Unstored("not enough replicas")
TIMES = NINE.replace(minute=5)


@dataclass
class World:
    """The brokers, the raw bucket and the table of chunks around resend."""

    files: dict[str, bytes]
    state: str = "resending"
    reports: list[Callable[[int], Delivery]] = field(default_factory=list)
    """What the brokers say of each record of their next requests; after that, that it is stored."""
    seconds_a_request: float = 0.0
    now: float = 100.0
    sent: list[int] = field(default_factory=list)
    """The offsets in raw-events of what the brokers were given."""
    sent_at: list[tuple[float, int]] = field(default_factory=list)
    chunks: dict[tuple[int, int], tuple[int, str | None]] = field(default_factory=dict)
    reaching_back: list[bool] = field(default_factory=list)

    def store(self, messages: Sequence[Message]) -> list[Delivery]:
        report = self.reports.pop(0) if self.reports else lambda _: None
        self.now += self.seconds_a_request
        offsets = [read_replayed(dict(one.headers)[HEADER]).raw_offset for one in messages]
        self.sent += offsets
        self.sent_at.append((self.now, len(messages)))
        return [report(offset) for offset in offsets]

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds

    @contextmanager
    def use(self) -> Iterator["World"]:
        yield self

    def execute(self, query: str, parameters: Sequence[Any]) -> "Rows":
        if "INSERT" in query:
            number, chunk, events, trouble, reaches_back = parameters
            self.reaching_back.append(reaches_back)
            self.chunks.setdefault((number, chunk), (events, trouble))
            return Rows([])
        if "FROM replay_chunk" in query:
            held = self.chunks.get((parameters[0], parameters[1]))
            return Rows([] if held is None else [held[:1]])
        return Rows([(self.state,)])

    def resending(self, per_second: float = 1e9) -> Resending:
        world: Any = self
        raw: Any = Files(self.files)
        return Resending(raw, world, world, "replay-events", per_second, Limits(), self.sleep, lambda: self.now)


@dataclass
class Rows:
    """The rows that a query found."""

    found: list[tuple[Any, ...]]

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.found

    def fetchone(self) -> tuple[Any, ...] | None:
        return self.found[0] if self.found else None


def chunk(*files: str) -> Chunk:
    return Chunk(7, 2, tuple(map(FilePart, files)), Scope("demo", None, NINE, TEN))


def test_all_files_of_a_chunk_are_sent_and_the_chunk_is_recorded() -> None:
    world = World({"a": write_file([row(1, TIMES), row(2, TIMES)]), "b": write_file([row(3, TIMES), row(4, TEN)])})
    assert world.resending().send(chunk("a", "b")) == {"chunk": 2, "events": 3, "state": "resending"}
    assert world.sent == [1, 2, 3]
    assert world.chunks == {(7, 2): (3, None)}


def test_a_chunk_says_whether_it_was_read_from_the_moment_on_that_is_asked_for() -> None:
    world = World({"a": write_file([row(1, TIMES)])})
    world.resending().send(chunk("a"))
    far = msgspec.structs.replace(chunk("a"), chunk=3, scope=Scope("demo", None, NINE, TEN, NINE))
    world.resending().send(far)
    assert world.reaching_back == [False, True]


def test_a_chunk_that_was_sent_is_not_sent_again() -> None:
    world = World({"a": write_file([row(1, TIMES)])}, chunks={(7, 2): (12, None)})
    assert world.resending().send(chunk("a"))["events"] == 12
    assert world.sent == []


@pytest.mark.parametrize("state", ["gathering", "cancelling", "cancelled", "failed", "draining", "done"])
def test_nothing_is_sent_of_a_replay_that_is_not_resending(state: str) -> None:
    world = World({"a": write_file([row(1, TIMES)])}, state=state)
    assert world.resending().send(chunk("a")) == {"chunk": 2, "events": 0, "state": state}
    assert (world.sent, world.chunks) == ([], {})


@pytest.mark.parametrize(
    "wrong", [b"no parquet", b"PAR1" + b"\xff" * 40 + b"PAR1", write_file([row(2, TIMES)], ["kafka_offset"])]
)
def test_nothing_of_a_chunk_is_sent_when_one_of_its_files_cannot_be_read(wrong: bytes) -> None:
    world = World({"a": write_file([row(1, TIMES)]), "b": wrong})
    assert world.resending().send(chunk("a", "b"))["events"] == 0
    assert world.sent == []
    ((events, trouble),) = world.chunks.values()
    assert events == 0
    assert "raw file b cannot be read" in str(trouble)


@pytest.mark.parametrize("outcome", [UNKNOWN, REFUSED])
def test_a_record_whose_outcome_is_unknown_or_refused_is_sent_again_alone(outcome: Unstored) -> None:
    world = World({"a": write_file([row(offset, TIMES) for offset in range(5)])})
    world.reports = [
        lambda offset: outcome if offset in (1, 3) else None,
        lambda offset: outcome if offset == 3 else None,
    ]
    assert world.resending().send(chunk("a"))["events"] == 5
    assert world.sent == [0, 1, 2, 3, 4, 1, 3, 3]
    assert world.chunks == {(7, 2): (5, None)}


def test_a_chunk_that_the_brokers_do_not_store_is_not_recorded() -> None:
    world = World({"a": write_file([row(1, TIMES)])}, reports=[lambda _: UNKNOWN] * TRIES)
    with pytest.raises(Retryable):
        world.resending().send(chunk("a"))
    assert world.chunks == {}
    # It is retried whole: recount takes each place once.
    assert world.resending().send(chunk("a"))["events"] == 1


@pytest.mark.parametrize("seconds_a_request", [0.0, 0.1, 2.0])
def test_it_sends_no_more_a_second_than_it_may(seconds_a_request: float) -> None:
    count, per_second = 4 * PIECE + 10, 2000.0
    file = write_file([row(offset, TIMES) for offset in range(count)], group=count)
    world = World({"a": file}, seconds_a_request=seconds_a_request)
    began = world.now
    world.resending(per_second).send(chunk("a"))
    sent = 0
    for at, events in world.sent_at:
        # A piece goes at once; before the next one, its time must have passed.
        assert sent <= per_second * (at - began) + 1e-6
        sent += events
    assert sent == count
    assert world.now - began >= count / per_second - 1e-6
