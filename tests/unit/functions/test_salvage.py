"""Salvage produces letters first and moves objects afterwards. After any failure the object stays where it is."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.response import StreamingBody

from functions.salvage import handler
from functions.salvage.handler import MOST_TOLD, MOVE_SECONDS, Dependencies, salvage
from infra.profiles.baseline import BASELINE
from sluice.core.messages import Message
from sluice.edge.failures import salvage as edge
from sluice.edge.failures.salvage import MOST_LETTERS, Salvage, error_output, failed_batches
from sluice.edge.kafka_client import Delivery, Unstored
from sluice.edge.metrics import metrics
from tests.support import samples
from tests.unit.core.failures.test_salvage import given_up, rows, undelivered

if TYPE_CHECKING:
    from sluice.edge.broker import Broker

BATCH, OUTPUT = "aws/lambda/u/2026/11/20/1", "errors/raw/format-conversion-failed/dt=2026-11-20/1"
Crash = Callable[[str], None]
POST_SECONDS = BASELINE.salvage.produce_deadline_seconds + MOVE_SECONDS


class World:
    """Two buckets and the brokers, everything that happens to them in order, and what may happen at each step."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], tuple[Any, bytes]] = {}
        self.letters: list[dict[str, Any]] = []
        self.chunks: list[int] = []
        self.log: list[str] = []
        self.before: Crash = lambda _what: None
        self.away = False
        self.clock = 0.0
        self.flush_seconds = 0.0
        self.at_once = MOST_LETTERS
        self.salvage = Salvage(
            self, cast("Broker", self), "dead-letter", [failed_batches("failed"), error_output("raw")]
        )

    def put(self, bucket: str, key: str, data: bytes, minutes_ago: int = 1) -> None:
        self.objects[bucket, key] = (samples.NOW - timedelta(minutes=minutes_ago), data)

    def names(self) -> set[str]:
        return {key for _, key in self.objects}

    # S3, as far as it is used.

    def get_paginator(self, _operation: str) -> "World":
        return self

    def paginate(self, **asked: str) -> Iterator[dict[str, Any]]:
        self._note(f"list {asked['Prefix']}")
        found = [
            {"Key": key, "LastModified": since}
            for (bucket, key), (since, _) in sorted(self.objects.items(), key=lambda item: item[0])
            if bucket == asked["Bucket"] and key.startswith(asked["Prefix"])
        ]
        yield {"Contents": found[:1]}
        yield {"Contents": found[1:]} if found[1:] else {}

    def get_object(self, **asked: str) -> dict[str, Any]:
        self._note(f"get {asked['Key']}")
        data = self.objects[asked["Bucket"], asked["Key"]][1]
        return {"Body": StreamingBody(BytesIO(data), len(data))}

    def copy_object(self, **asked: Any) -> None:
        self._note(f"copy {asked['Key']}")
        source = asked["CopySource"]
        _, data = self.objects[source["Bucket"], source["Key"]]
        self.objects[asked["Bucket"], asked["Key"]] = (samples.NOW, data)

    def delete_object(self, **asked: str) -> None:
        self._note(f"delete {asked['Key']}")
        del self.objects[asked["Bucket"], asked["Key"]]

    # The brokers.

    def store(self, messages: Sequence[Message]) -> list[Delivery]:
        self._note("store")
        self.chunks.append(len(messages))
        assert {message.topic for message in messages} == {"dead-letter"}
        letters = [json.loads(message.value) for message in messages]
        assert [letter["letter_id"].encode() for letter in letters] == [message.key for message in messages]
        self.clock += self.flush_seconds
        # Brokers that are away may have stored all but one.
        self.letters += letters[self.away : self.at_once]
        lost = Unstored("no report within the deadline")
        return [None if self.away <= number < self.at_once else lost for number in range(len(letters))]

    def run(self, seconds_left: Callable[[], float] | None = None) -> dict[str, Any]:
        ends = self.clock + BASELINE.salvage.compute.timeout_seconds
        dependencies = Dependencies(self.salvage, BASELINE.salvage.reserve_seconds, POST_SECONDS)
        done = salvage(dependencies, samples.NOW, seconds_left or (lambda: ends - self.clock))
        metrics.clear_metrics()
        return done

    def _note(self, what: str) -> None:
        self.before(what)
        self.log.append(what)


@pytest.fixture
def world() -> World:
    return World()


def refuse(what: str, code: str = "ServiceUnavailable") -> Crash:
    """Let S3 refuse one step."""

    def before(step: str) -> None:
        if step.startswith(what):
            raise ClientError({"Error": {"Code": code, "Message": "slow down"}}, "Operation")

    return before


def batch_of(count: int) -> bytes:
    """An object of very many letters."""
    (record, *_) = samples.read("lambda/raw-events-batch.json")["records"]["raw-events-4"]
    return given_up({"records": {"raw-events-4": [record | {"offset": number} for number in range(count)]}})


def test_letters_are_stored_before_their_object_is_moved_and_copied_before_it_is_deleted(world: World) -> None:
    world.put("failed", BATCH, given_up(), minutes_ago=2)
    world.put("raw", OUTPUT, undelivered(b"".join(rows())) + b"\n")
    done = world.run()
    assert world.log == [
        "list aws/lambda/",
        "list errors/",
        f"get {BATCH}",
        "store",
        f"copy salvaged/{BATCH}",
        f"delete {BATCH}",
        f"get {OUTPUT}",
        "store",
        f"copy salvaged/{OUTPUT}",
        f"delete {OUTPUT}",
    ]
    assert world.names() == {f"salvaged/{BATCH}", f"salvaged/{OUTPUT}"}
    assert [letter["reason"] for letter in world.letters] == ["expired"] * 3 + ["delivery_failed"] * 3
    assert done == {
        "ObjectsSalvaged": 2,
        "LettersSalvaged": 6,
        "ObjectsPending": 0,
        "PendingSeconds": 0.0,
    }


def test_what_was_kept_stays_as_it_was_and_is_not_salvaged_again(world: World) -> None:
    world.put("failed", BATCH, given_up())
    world.run()
    assert world.objects["failed", f"salvaged/{BATCH}"][1] == given_up()
    assert world.run()["ObjectsSalvaged"] == 0
    assert len(world.letters) == 3


def test_a_letter_that_is_not_acknowledged_leaves_its_object_and_ends_the_run(world: World) -> None:
    world.away = True
    world.put("failed", BATCH, given_up(), minutes_ago=30)
    world.put("raw", OUTPUT, undelivered(b"".join(rows())))
    done = world.run()
    assert world.names() == {BATCH, OUTPUT}
    assert [step for step in world.log if step.startswith(("copy", "delete"))] == []
    # The refused ones once more, and then no other.
    assert world.chunks == [3, 1]
    assert (done["ObjectsPending"], done["PendingSeconds"]) == (2, 1800.0)
    world.away = False
    assert world.run()["ObjectsSalvaged"] == 2
    assert world.names() == {f"salvaged/{BATCH}", f"salvaged/{OUTPUT}"}


@pytest.mark.parametrize("step", ["get", "store", "copy", "delete"])
def test_a_run_that_is_killed_anywhere_is_done_again_with_the_same_letters(world: World, step: str) -> None:
    def die(what: str) -> None:
        if what.startswith(step):
            raise KeyboardInterrupt

    world.put("failed", BATCH, given_up())
    world.before = die
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert BATCH in world.names()
    written = list(world.letters)
    world.before = lambda _what: None
    world.run()
    assert world.names() == {f"salvaged/{BATCH}"}
    assert world.letters[: len(written)] == written
    again = world.letters[len(written) :]
    assert len(again) == 3
    assert written in ([], again)


@pytest.mark.parametrize("step", ["get", "copy", "delete"])
def test_an_object_the_store_does_not_hand_out_waits_and_the_others_do_not(world: World, step: str) -> None:
    other = BATCH + "0"
    world.put("failed", BATCH, given_up(), minutes_ago=20)
    world.put("failed", other, given_up())
    world.before = lambda what: (
        refuse(step, "AccessDenied")(what) if what.removeprefix(f"{step} salvaged/").endswith("/1") else None
    )
    done = world.run()
    assert BATCH in world.names()
    assert other not in world.names()
    assert (done["ObjectsSalvaged"], done["ObjectsPending"], done["PendingSeconds"]) == (1, 1, 1200.0)


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "SlowDown", "Message": "please"}}, "ListObjectsV2"),
        EndpointConnectionError(endpoint_url="https://s3"),
    ],
)
def test_a_store_that_cannot_be_listed_is_not_taken_for_an_empty_one(world: World, error: Exception) -> None:
    def away(_what: str) -> None:
        raise error

    world.before = away
    assert world.run() == {}


def test_the_oldest_is_salvaged_first_wherever_it_lies(world: World) -> None:
    world.put("failed", "aws/lambda/a/new", given_up(), minutes_ago=1)
    world.put("failed", "aws/lambda/b/old", given_up(), minutes_ago=50)
    world.put("raw", OUTPUT, undelivered(b"x"), minutes_ago=10)
    world.run()
    taken = [step.removeprefix("get ") for step in world.log if step.startswith("get")]
    assert taken == ["aws/lambda/b/old", OUTPUT, "aws/lambda/a/new"]


def test_a_run_begins_no_object_that_there_is_no_time_for(world: World) -> None:
    for number in range(5):
        world.put("failed", f"{BATCH}{number}", given_up(), minutes_ago=10 - number)
    # Before an object and before its letters.
    times = iter([300, 300, 201, 201, 200])
    done = world.run(lambda: next(times))
    assert (done["ObjectsSalvaged"], done["ObjectsPending"], done["PendingSeconds"]) == (2, 3, 480.0)


def test_what_cannot_be_read_is_a_letter_too_and_moved_like_the_rest(world: World) -> None:
    world.put("failed", BATCH, b"\xff no JSON" * 10_000)
    world.put("raw", OUTPUT, b"")
    world.run()
    assert world.names() == {f"salvaged/{BATCH}", f"salvaged/{OUTPUT}"}
    assert [letter["reason"] for letter in world.letters] == ["unreadable_object"] * 2


def test_many_letters_are_stored_in_parts_and_the_object_is_moved_after_the_last(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "MOST_LETTERS", 500)
    monkeypatch.setattr(edge, "MOST_BYTES", 4 * 1024 * 1024)
    world.put("failed", BATCH, batch_of(1001))
    large = b"\n".join(rows()[0].replace(b"press-0007", b"p" * 60_000) for _ in range(200))
    world.put("raw", OUTPUT, undelivered(large))
    world.run()
    assert world.chunks[:3] == [500, 500, 1]
    assert sum(world.chunks[3:]) == 200
    assert all(60_000 * part < 4 * 1024 * 1024 for part in world.chunks[3:])
    assert world.log.index(f"copy salvaged/{BATCH}") - world.log.index(f"get {BATCH}") == 4


def test_what_slow_brokers_did_not_take_in_time_is_stored_by_the_next_flush(world: World) -> None:
    world.at_once = 1_000
    world.put("failed", BATCH, batch_of(3_500))
    done = world.run()
    assert (done["ObjectsSalvaged"], done["LettersSalvaged"]) == (1, 3_500)
    assert world.chunks == [3_500, 2_500, 1_500, 500]
    assert len({letter["kafka_offset"] for letter in world.letters}) == len(world.letters) == 3_500


def test_an_object_that_there_is_no_time_for_is_left_and_lets_the_others_pass_the_next_time(world: World) -> None:
    world.at_once, world.flush_seconds = 1, 10
    large, small = BATCH, BATCH + "0"
    world.put("failed", large, batch_of(50), minutes_ago=30)
    world.put("failed", small, given_up(), minutes_ago=20)
    done = world.run()
    assert world.names() == {large, small}
    assert (done["ObjectsPending"], done["PendingSeconds"]) == (2, 1800.0)
    # The run was not stopped in the middle of it.
    assert BASELINE.salvage.compute.timeout_seconds - MOVE_SECONDS >= world.clock
    done = world.run()
    assert world.names() == {large, f"salvaged/{small}"}
    assert (done["ObjectsSalvaged"], done["ObjectsPending"], done["PendingSeconds"]) == (1, 1, 1800.0)
    world.at_once, world.flush_seconds = MOST_LETTERS, 1
    assert world.run()["ObjectsSalvaged"] == 1
    assert world.names() == {f"salvaged/{large}", f"salvaged/{small}"}


def test_every_object_that_was_not_salvaged_is_reported_by_its_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(handler.logger, "warning", lambda message, extra: told.append((message, extra)))
    for number in range(MOST_TOLD + 2):
        world.put("failed", f"{BATCH}{number:02}", given_up(), minutes_ago=30 - number)
    world.before = refuse("get")
    world.run()
    ((_, extra),) = told
    assert [reason.partition(":")[0] for reason in extra["reasons"]] == [f"{BATCH}{n:02}" for n in range(MOST_TOLD)]
    assert (extra["troubles"], extra["left"]) == (MOST_TOLD + 2, MOST_TOLD + 2)
