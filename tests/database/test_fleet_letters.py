"""A reader's question about dead letters, from the route to the objects in S3 and the rows of re-drives."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from functions.redrive.handler import answer
from sluice.core.failures.letters import Letter
from tests.database.test_redrive import World
from tests.support.letters import put, reject, rename, telemetry
from tests.support.readers import Reader

ASKED = "/v1/dead-letters?from=2026-11-20&to=2026-11-20"
BUG = rename("cpu_temp", "cpuTemp")


@pytest.fixture
def world(database: str) -> Iterator[World]:
    world = World(database)
    yield world
    world.close()


@pytest.fixture
def reader(world: World, database: str) -> Iterator[Reader]:
    reader = Reader(database)

    def ask(payload: bytes) -> bytes:
        event = json.loads(payload)
        return json.dumps(answer(world.look(), event["step"], event["asked"])).encode()

    reader.functions.letters = ask
    yield reader
    reader.close()


def letters_of(fleet_id: str, some: int, *, first: int = 0, value: Any = "hot") -> list[Letter]:
    change = put("cpu_temp", value)
    return [reject(telemetry(first + number, change), fleet_id=fleet_id) for number in range(some)]


def test_a_reader_sees_the_groups_of_the_keys_fleet_and_nothing_of_another(world: World, reader: Reader) -> None:
    own, others = letters_of("demo", 5), letters_of("other", 9, value="a secret of another fleet")
    nobodys = msgspec.structs.replace(others[0], fleet_id=None, letter_id="f" * 64)
    world.bucket.keep([*own, *others, nobodys])
    status, document = reader.get(ASKED)
    assert (status, document["found"], document["letters"], document["complete"]) == (200, 1, 5, True)
    assert (document["from"], document["to"]) == ("2026-11-20T00:00:00.000000Z", "2026-11-21T00:00:00.000000Z")
    (group,) = document["items"]
    assert (group["path"], group["rule"], group["firmware"]) == ("metrics.cpu_temp", "type", own[0].firmware)
    assert group["example"]["value"] == '"hot"'
    assert [one["event_id"] for one in group["samples"]] == [letter.event_id for letter in own[:3]]
    assert "other" not in json.dumps(document)
    assert "vibration_rms" not in json.dumps(document)


def test_it_says_what_a_redrive_has_done(world: World, reader: Reader) -> None:
    letters = [reject(telemetry(number, BUG)) for number in range(3)]
    world.bucket.keep(letters)
    world.begin(letters)
    world.run()
    (group,) = reader.get(ASKED).body["items"]
    assert (group["letters"], group["in_flight"], group["state"]) == (3, 3, "open")


def test_an_answer_is_kept_and_a_failure_is_a_refusal_or_what_was_known(world: World, reader: Reader) -> None:
    world.bucket.keep(letters_of("demo", 1))
    first = reader.get(ASKED)
    reader.functions.letters = lambda _: b'{"errorMessage": "timed out"}'
    world.bucket.keep(letters_of("demo", 1, first=7))
    reader.now += timedelta(hours=1)
    # From memory, with the time at which it was read; so its tag is the same.
    assert reader.get(ASKED).body == first.body
    assert reader.get(ASKED, if_none_match=first.headers["etag"]).status == 304
    reader.now += timedelta(hours=6)
    got = reader.get(ASKED)
    assert (got.status, got.body["code"]) == (503, "dead_letters_unavailable")
    assert got.headers["retry-after"] == "3"
