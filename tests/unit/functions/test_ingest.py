"""What ingest does in which order, with the stores it touches replaced and everything else real."""

import gzip

import pytest

from sluice.core.api.keys import PublishedKey, hash_key
from tests.support import samples
from tests.support.world import KEY, World


@pytest.fixture
def world() -> World:
    return World()


def test_events_and_the_letters_of_the_rejected_are_stored_together_before_anything_is_answered(world: World) -> None:
    status, body = world.post(samples.read_bytes("mixed-batch.json"))
    assert status == 207
    assert [result["status"] for result in body["results"]] == ["accepted", "rejected", "accepted", "rejected"]
    assert world.diary == [
        ("admit", 4),
        ("charge", 2),
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
    assert ("charge", 1) in world.diary


def test_a_body_whose_letter_cannot_be_stored_is_to_be_sent_again(world: World) -> None:
    world.unstored_topics = {"dead-letter"}
    status, answer = world.post(b"[{")
    assert (status, answer["code"]) == (429, "not_stored")


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [(None, 401, "unknown_key"), (PublishedKey("K" * 16, "demo", "reader", hash_key(KEY), 1, 1), 403, "wrong_role")],
)
def test_who_may_not_send_costs_no_work_on_the_body(
    world: World, key: PublishedKey | None, status: int, code: str
) -> None:
    world.key = key
    bomb = gzip.compress(b"0" * 50_000_000)
    answered, answer = world.post(bomb, content_encoding="gzip")
    assert (answered, answer["code"]) == (status, code)
    assert world.diary == []
    assert world.refused == [("unknown", code)]


def test_while_no_key_can_be_looked_up_the_caller_is_asked_to_retry(world: World) -> None:
    world.away = True
    status, answer = world.post("{}")
    assert (status, answer["code"]) == (429, "keys_unavailable")


@pytest.mark.parametrize("kind", ["events", "rejects"])
def test_a_fleet_over_its_quota_gets_its_name_and_nothing_is_stored(world: World, kind: str) -> None:
    world.over = kind
    for body in (samples.read_bytes("telemetry-v1.json"), b"[no events"):
        status, answer = world.post(body)
        assert (status, answer["code"]) == (429, f"quota_{kind}")
    assert not any(entry[0] == "store" for entry in world.diary)


@pytest.mark.parametrize(("away", "unstored"), [(True, set()), (False, {"dead-letter"})])
def test_what_is_not_stored_for_a_reason_of_ours_counts_where_the_alarm_looks(
    world: World, away: bool, unstored: set[str]
) -> None:
    world.away, world.unstored_topics = away, unstored
    assert world.post(b"[no events")[0] == 429
    assert world.counted == ({"EventsToRetry"}, set())
    assert world.refused == []


def test_a_request_refused_under_pressure_costs_no_quota_and_leaves_nothing(world: World) -> None:
    world.strained = 0.75
    for body in (samples.read_bytes("mixed-batch.json"), b"[no events"):
        world.chances = [0.74, 0.5]
        status, answer = world.post(body)
        assert (status, answer["code"]) == (429, "pressure")
        assert answer["advice"] == {"sample": 0.25, "retry_after": 47}
        assert "results" not in answer
        # Without a fleet for the alarm, and by fleet for operators.
        assert world.counted == ({"RefusedForPressure"}, set())
    assert world.refused == [("demo", "pressure")] * 2
    assert world.diary == []


def test_the_share_that_is_not_refused_goes_its_way_whole(world: World) -> None:
    world.strained, world.chances = 0.75, [0.76]
    status, answer = world.post(samples.read_bytes("mixed-batch.json"))
    assert (status, len(answer["results"])) == (207, 4)
    assert "RefusedForPressure" not in world.counted[0]


def test_without_pressure_no_chance_is_drawn(world: World) -> None:
    assert world.post(samples.read_bytes("telemetry-v1.json"))[0] == 202


def test_not_to_know_the_pressure_is_no_reason_to_refuse_and_is_counted(world: World) -> None:
    world.uninformed = True
    assert world.post(samples.read_bytes("telemetry-v1.json"))[0] == 202
    assert "PressureUnknown" in world.counted[0]


def test_a_process_whose_producing_is_slow_refuses_by_itself(world: World) -> None:
    world.slow, world.chances = 1.0, [0.89, 0.0]
    status, answer = world.post(samples.read_bytes("telemetry-v1.json"))
    assert (status, answer["code"], answer["advice"]["sample"]) == (429, "pressure", 0.1)
    world.chances = [0.9]
    assert world.post(samples.read_bytes("telemetry-v1.json"))[0] == 202


def test_who_may_not_send_hears_that_and_nothing_of_pressure(world: World) -> None:
    world.strained, world.key = 1.0, None
    assert world.post(samples.read_bytes("telemetry-v1.json"))[0] == 401
