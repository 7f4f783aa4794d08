"""What ingest does in which order, with the stores it touches replaced and everything else real."""

import base64
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from functions.ingest.handler import Parts, ingest, metrics
from sluice.core.errors import Retryable
from sluice.core.keys import StoredKey, compose_key, hash_key
from sluice.core.messages import Message
from sluice.core.quotas import Quota
from sluice.edge.broker import Broker, Delivery, Unstored
from sluice.edge.settings import IngestSettings
from tests import samples

if TYPE_CHECKING:
    from sluice.edge.keystore import KeyStore
    from sluice.edge.quotas import Quotas

KEY = compose_key("test", "K" * 16, "s" * 43)
STORED = StoredKey("K" * 16, "demo", "device", hash_key(KEY), 100.0, 10.0)


@dataclass
class World:
    """The stores around ingest, and a diary of what was done to them."""

    diary: list[Any] = field(default_factory=list)
    key: StoredKey | None = STORED
    away: bool = False
    allowed: dict[str, bool] = field(default_factory=lambda: {"events": True, "rejects": True})
    unstored_topics: set[str] = field(default_factory=set)

    def find(self, _key_id: str, _now: datetime) -> StoredKey | None:
        if self.away:
            raise Retryable("nobody can tell")
        return self.key

    def take(self, _fleet: str, kind: str, _quota: Quota, tokens: int, _now: datetime) -> bool:
        self.diary.append(("take", kind, tokens))
        return self.allowed[kind]

    def charge(self, _fleet: str, kind: str, _quota: Quota, tokens: int, _now: datetime) -> None:
        self.diary.append(("charge", kind, tokens))

    def store(self, messages: Sequence[Message]) -> list[Delivery]:
        self.diary.append(("store", [message.topic for message in messages]))
        self.messages = list(messages)
        return [Unstored("no report") if one.topic in self.unstored_topics else None for one in messages]

    def post(self, body: bytes | str, **headers: str) -> tuple[int, Any]:
        """Post a body and read the answer."""
        payload: dict[str, Any] = samples.read("lambda/post-mixed-batch.json")
        payload["headers"] |= {"x-api-key": KEY, **{name.replace("_", "-"): value for name, value in headers.items()}}
        raw = body if isinstance(body, bytes) else body.encode()
        payload |= {"body": base64.b64encode(raw).decode(), "isBase64Encoded": True}
        settings = IngestSettings("test", "raw-events", "dead-letter", "us-east-1", 4, 30, 240)
        parts = Parts(settings, samples.rules(), cast("KeyStore", self), cast("Quotas", self), cast("Broker", self))
        answer = ingest(payload, parts, retry_after=3)
        return answer.status, json.loads(answer.body)

    def letters(self) -> list[dict[str, Any]]:
        """The dead letters among what was stored."""
        return [json.loads(one.value) for one in self.messages if one.topic == "dead-letter"]


@pytest.fixture
def world() -> Iterator[World]:
    yield World()
    # What the decorator around the handler would have written out and forgotten.
    metrics.clear_metrics()


def test_events_and_the_letters_of_the_rejected_are_stored_together_before_anything_is_answered(world: World) -> None:
    status, body = world.post(samples.read_bytes("mixed-batch.json"))
    assert status == 207
    assert [result["status"] for result in body["results"]] == ["accepted", "rejected", "accepted", "rejected"]
    assert world.diary == [
        ("take", "rejects", 0),
        ("take", "events", 4),
        ("charge", "rejects", 2),
        ("store", ["raw-events", "dead-letter", "raw-events", "dead-letter"]),
    ]


def test_a_letter_says_whose_event_it_was_why_it_was_rejected_and_what_it_held(world: World) -> None:
    sent = samples.read_bytes("telemetry-invalid.json")
    assert world.post(sent)[0] == 400
    (letter,) = world.letters()
    assert letter["event"].encode() == sent
    assert (letter["fleet_id"], letter["device_id"]) == ("demo", "press-0010")
    assert (letter["reason"], letter["consumer"], letter["contract"]) == ("contract_violation", "ingest", "telemetry")
    assert letter["correlation_id"] == "site-7:000123"


def test_a_reject_whose_letter_is_not_stored_is_not_answered_as_a_reject(world: World) -> None:
    world.unstored_topics = {"dead-letter"}
    status, body = world.post(samples.read_bytes("telemetry-invalid.json"))
    assert status == 429
    assert [result["status"] for result in body["results"]] == ["retry"]


def test_an_event_that_is_not_stored_is_never_accepted(world: World) -> None:
    world.unstored_topics = {"raw-events"}
    status, body = world.post(samples.read_bytes("mixed-batch.json"))
    assert status == 429
    assert [result["status"] for result in body["results"]] == ["retry", "rejected", "retry", "rejected"]


@pytest.mark.parametrize(("body", "code"), [(b'[{"a":1}, {"b"', "malformed_json"), (b'{"a":"\xff"}', "invalid_utf8")])
def test_a_body_that_is_no_events_becomes_one_letter(world: World, body: bytes, code: str) -> None:
    status, answer = world.post(body)
    assert (status, answer["code"]) == (400, code)
    (letter,) = world.letters()
    assert (letter["reason"], letter["fleet_id"], letter["event_size"]) == (code, "demo", len(body))
    assert ("charge", "rejects", 1) in world.diary


def test_a_body_whose_letter_cannot_be_stored_is_to_be_sent_again(world: World) -> None:
    world.unstored_topics = {"dead-letter"}
    status, answer = world.post(b"[{")
    assert (status, answer["code"]) == (429, "not_stored")


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [(None, 401, "unknown_key"), (StoredKey("K" * 16, "demo", "reader", hash_key(KEY), 1, 1), 403, "wrong_role")],
)
def test_who_may_not_send_costs_no_work_on_the_body(
    world: World, key: StoredKey | None, status: int, code: str
) -> None:
    world.key = key
    bomb = gzip.compress(b"0" * 50_000_000)
    answered, answer = world.post(bomb, content_encoding="gzip")
    assert (answered, answer["code"]) == (status, code)
    assert world.diary == []


def test_while_no_key_can_be_looked_up_the_caller_is_asked_to_come_again(world: World) -> None:
    world.away = True
    status, answer = world.post("{}")
    assert (status, answer["code"]) == (429, "keys_unavailable")


@pytest.mark.parametrize("kind", ["events", "rejects"])
def test_a_fleet_over_its_quota_is_told_which_and_nothing_is_stored(world: World, kind: str) -> None:
    world.allowed[kind] = False
    status, answer = world.post(samples.read_bytes("telemetry-v1.json"))
    assert (status, answer["code"]) == (429, f"quota_{kind}")
    assert not any(entry[0] == "store" for entry in world.diary)
