"""What a run of probe does with each answer: it measures, makes keys when it has none that work, and always says so."""

import io
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from functions.probe import handler
from sluice.core.errors import Retryable
from sluice.core.probe.event import FLEET, READ_ROUTE, ROUTE
from sluice.core.probe.keys import (
    DROPPED_AFTER,
    LIFE_DAYS,
    REFUSED_AFTER,
    RENEWED_AFTER,
    TRIED_AFTER,
    KeptKeys,
    ProbeKeys,
    read_kept_keys,
)
from sluice.core.times import write_time
from sluice.edge.metrics import metrics
from sluice.edge.probe.api_client import Answered, ApiClient
from sluice.edge.probe.keyring import CORRELATION_ID, FLEETS, KEYS, Keyring
from sluice.edge.probe.probing import PAUSE_SECONDS, Probed, Probing

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
STORED = Answered(202, b'{"results":[{"status":"accepted"}]}')
REFUSED = Answered(401, b'{"code":"expired_key"}')


class World:
    """The API, Secrets Manager and a clock, as far as a run meets them."""

    def __init__(self) -> None:
        self.secret = "{}"
        self.now = 0.0
        self.readable_after: float | None = 3.0
        self.posted: list[tuple[str, str]] = []
        self.signed: list[tuple[str, dict[str, Any]]] = []
        self.read_with: list[str] = []
        self.works: Callable[[str], bool] = lambda key: key.startswith("made-")
        self.fleet = Answered(201, b"{}")
        self.refused = REFUSED
        self.unmade: set[str] = set()
        self.takes: Callable[[str], bool] = lambda _: True
        self.stored: Callable[[], Answered] = lambda: STORED
        self._at: str | None = None

    def post_signed(self, path: str, document: dict[str, Any]) -> Answered:
        self.signed.append((path, document))
        if document.get("role") in self.unmade:
            return Answered(503, b"{}")
        made = msgspec.json.encode({"key": f"made-{document.get('role')}-{len(self.signed)}"})
        return Answered(201, made) if path == KEYS else self.fleet

    def post(self, path: str, body: bytes, key: str, correlation_id: str) -> Answered:
        assert path == ROUTE
        self.posted.append((key, correlation_id))
        self._at = json.loads(body)["timestamp"]
        return self.stored() if self.works(key) else REFUSED

    def ask(self, path: str, key: str, correlation_id: str) -> Answered:
        assert path == READ_ROUTE
        if correlation_id == CORRELATION_ID:
            return Answered(200, b"{}") if self.works(key) else self.refused
        assert correlation_id == self.posted[-1][1]
        self.read_with.append(key)
        if not self.works(key):
            return REFUSED
        readable = self.readable_after is not None and self.now >= self.readable_after
        return Answered(200, msgspec.json.encode({"items": [{"points": [[self._at, 41.0]] if readable else []}]}))

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803 - as boto3 names it
        assert SecretId == "arn"
        return {"SecretString": self.secret}

    def put_secret_value(self, SecretId: str, SecretString: str) -> None:  # noqa: N803 - likewise
        assert SecretId == "arn"
        if not self.takes(SecretString):
            raise OSError("cut")
        self.secret = SecretString

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def process(self) -> Probing:
        api = cast("ApiClient", self)
        return Probing(api, Keyring(api, self, "arn"), 65, lambda: self.now, self.sleep)

    def keep(self, made_at: datetime, device: str = "made-device", reader: str = "made-reader") -> None:
        self.secret = msgspec.json.encode(KeptKeys(ProbeKeys(device, reader, made_at))).decode()

    def made(self) -> list[str]:
        return [document["role"] for path, document in self.signed if path == KEYS]


@pytest.fixture
def world() -> World:
    return World()


def measured(probing: Probing, monkeypatch: pytest.MonkeyPatch, now: datetime = NOW) -> dict[str, float]:
    """Run the handler, and return the metrics that it wrote."""
    written = io.StringIO()
    monkeypatch.setattr("sys.stdout", written)
    monkeypatch.setattr(handler, "build", lambda: probing)
    monkeypatch.setattr(handler, "datetime", type("Clock", (), {"now": staticmethod(lambda _: now)}))
    monkeypatch.setattr(metrics.provider, "namespace", "test")
    handler.handler({}, None)
    (line,) = [json.loads(one) for one in written.getvalue().splitlines() if "_aws" in one]
    return {name: line[name][0] for name in line if name.startswith("Probe")}


def run(probing: Probing, now: datetime = NOW) -> Probed:
    probed = probing.run(uuid.uuid4(), now)
    metrics.clear_metrics()
    return probed


def test_the_first_run_makes_a_fleet_and_two_keys_and_later_ones_use_them(world: World) -> None:
    assert run(world.process()).readable
    assert [path for path, _ in world.signed] == [FLEETS, KEYS, KEYS]
    assert world.signed[0][1]["fleet_id"] == FLEET
    assert [document["role"] for _, document in world.signed[1:]] == ["device", "reader"]
    # Another process finds them.
    assert run(world.process()).readable
    assert len(world.signed) == 3
    assert {key.split("-")[1] for key, _ in world.posted} == {"device"}
    assert {key.split("-")[1] for key in world.read_with} == {"reader"}


def test_a_run_measures_from_acceptance_to_the_reader(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    values = measured(world.process(), monkeypatch)
    assert values == {"ProbesUnaccepted": 0, "ProbesUnreadable": 0, "ProbeReadableSeconds": 3.0}


def test_what_is_never_readable_counts_as_late_as_the_run_waited(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.readable_after = None
    values = measured(world.process(), monkeypatch)
    assert values == {"ProbesUnaccepted": 0, "ProbesUnreadable": 1, "ProbeReadableSeconds": 65.0}
    assert len(world.read_with) == 65 / PAUSE_SECONDS + 1


@pytest.mark.parametrize("answer", [Answered(429, b"{}"), Answered(503, b""), None])
def test_an_event_that_is_not_accepted_counts_and_is_not_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch, answer: Answered | None
) -> None:
    def store() -> Answered:
        if answer is None:
            raise Retryable("the API does not answer")
        return answer

    world.stored = store
    assert measured(world.process(), monkeypatch) == {"ProbesUnaccepted": 1}
    assert world.read_with == []


def test_a_fleet_that_is_there_already_is_used_and_one_that_cannot_be_made_is_no_crash(world: World) -> None:
    world.fleet = Answered(409, b'{"code":"fleet_exists"}')
    assert run(world.process()).readable
    world.secret, world.fleet = "{}", Answered(403, b"")
    assert not run(world.process()).accepted


def test_keys_are_renewed_long_before_they_expire(world: World) -> None:
    world.keep(NOW - RENEWED_AFTER + timedelta(minutes=1))
    probing = world.process()
    assert run(probing).readable
    assert world.signed == []
    assert run(probing, NOW + timedelta(minutes=1)).readable
    assert [path for path, _ in world.signed] == [FLEETS, KEYS, KEYS]


def test_keys_that_someone_revoked_are_replaced_once_and_not_in_every_run(world: World) -> None:
    world.keep(NOW - REFUSED_AFTER, device="revoked")
    probing = world.process()
    assert not run(probing).accepted
    assert len(world.signed) == 3
    # What was made a moment ago may not be known everywhere yet.
    world.works = lambda _: False
    for minute in range(1, 9):
        assert not run(probing, NOW + minute * timedelta(minutes=1)).accepted
    assert len(world.signed) == 3
    world.works = lambda key: key.startswith("made-")
    assert run(probing).readable


def test_a_reader_key_that_is_refused_is_replaced_within_the_run(world: World) -> None:
    world.keep(NOW - REFUSED_AFTER, reader="expired")
    probed = run(world.process())
    assert (probed.accepted, probed.readable) == (True, True)
    assert [key for key in world.read_with if key == "expired"] == ["expired"]


def test_a_refused_reader_key_that_cannot_be_replaced_is_tried_once_a_run(world: World) -> None:
    world.keep(NOW - REFUSED_AFTER, reader="expired")
    world.unmade = {"reader"}
    probed = run(world.process())
    assert (probed.accepted, probed.readable) == (True, False)
    assert [document.get("role") for _, document in world.signed] == [None, "device", "reader"]
    assert len(world.read_with) > 100


def test_old_keys_are_used_until_they_end_while_no_new_ones_can_be_made(world: World) -> None:
    world.keep(NOW)
    world.fleet = Answered(503, b"")
    probing = world.process()
    assert run(probing, NOW + RENEWED_AFTER).readable
    assert run(world.process(), NOW + timedelta(days=LIFE_DAYS, minutes=-1)).readable
    assert not run(probing, NOW + timedelta(days=LIFE_DAYS)).accepted
    assert {key for key, _ in world.posted} == {"made-device"}


def test_a_try_that_fails_is_continued_ten_minutes_later_with_the_key_that_it_made(world: World) -> None:
    world.unmade = {"reader"}
    for minute in range(60):
        # As if each run had a process of its own.
        assert not run(world.process(), NOW + minute * timedelta(minutes=1)).accepted
    assert world.made() == ["device", *["reader"] * 6]
    world.unmade = set()
    assert run(world.process(), NOW + timedelta(hours=1)).readable
    assert world.made().count("device") == 1
    kept = read_kept_keys(world.secret)
    assert (kept.keys, kept.new) == (ProbeKeys("made-device-2", world.read_with[-1], NOW), None)


def test_no_key_is_made_while_the_secret_cannot_be_written(world: World) -> None:
    world.takes = lambda _: False
    assert not run(world.process()).accepted
    assert world.made() == []


def test_keys_whose_writing_fails_are_at_most_one_in_ten_minutes(world: World) -> None:
    world.takes = lambda text: "made-" not in text
    for minute in range(60):
        assert not run(world.process(), NOW + minute * timedelta(minutes=1)).accepted
    assert world.made() == ["device"] * 6


@pytest.mark.parametrize("status", [401, 503])
def test_new_keys_are_used_when_the_api_takes_them_and_no_others_are_made_meanwhile(world: World, status: int) -> None:
    world.refused = Answered(status, b"{}")
    world.keep(NOW - RENEWED_AFTER, device="old-device", reader="old-reader")
    world.works = lambda key: key.startswith("old-")
    for minute in range(30):
        assert run(world.process(), NOW + minute * timedelta(minutes=1)).readable
    assert world.made() == ["device", "reader"]
    world.works = lambda _: True
    assert run(world.process(), NOW + timedelta(minutes=30)).readable
    assert world.posted[-1][0] == "made-device-2"
    assert world.made() == ["device", "reader"]


def test_new_keys_that_the_api_does_not_take_for_a_day_are_given_up(world: World) -> None:
    world.works = lambda key: key.endswith(("-5", "-6"))
    assert not run(world.process()).accepted
    assert not run(world.process(), NOW + DROPPED_AFTER - timedelta(minutes=1)).accepted
    assert len(world.made()) == 2
    assert run(world.process(), NOW + DROPPED_AFTER).readable
    assert len(world.made()) == 4


def test_a_process_whose_keys_are_old_takes_those_that_another_one_stored(world: World) -> None:
    world.keep(NOW)
    probing = world.process()
    assert run(probing).readable
    world.keep(NOW + RENEWED_AFTER, device="made-by-another")
    assert run(probing, NOW + RENEWED_AFTER + TRIED_AFTER).readable
    assert world.posted[-1][0] == "made-by-another"
    assert world.signed == []


def test_the_event_is_found_by_the_id_of_its_request(world: World) -> None:
    event_id = uuid.uuid4()
    assert world.process().run(event_id, NOW).event_id == str(event_id)
    metrics.clear_metrics()
    assert world.posted[0][1] == f"probe-{event_id}"
    assert world._at == write_time(NOW)
