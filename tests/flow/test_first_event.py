"""The way of an event, from the post to the row, on the templates' own resources."""

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cli.simulation.client import digest, post_all
from cli.simulation.devices import ACTIVITY, EVENTS, READINGS, Fleet, Sent
from tests.flow.conftest import READERS, Stack
from tests.flow.http import post
from tests.support import samples
from tests.support.invariants import balance

COUNT = 10_000
SEED = 20_261_120


def now() -> datetime:
    return datetime.now(UTC)


def batches_of(fleet: Fleet, count: int, seed: int) -> Iterator[list[Sent]]:
    """Batches of every size on every route, with bad events among the good."""
    draw = random.Random(seed)
    while count > 0:
        route = draw.choices((EVENTS, READINGS, ACTIVITY), (8, 1, 1))[0]
        events = [fleet.event(route) for _ in range(min(count, draw.choice((1, 7, 50, 100))))]
        count -= len(events)
        # Bytes that are not JSON travel alone: inside an array they would spoil it whole.
        yield from ([sent] for sent in events if sent.kind == "malformed")
        if rest := [sent for sent in events if sent.kind != "malformed"]:
            yield rest


@pytest.mark.parametrize(
    ("route", "name"),
    [
        ("/v1/events", "telemetry-v1.json"),
        ("/v1/events", "telemetry-v2.json"),
        ("/v1/events", "telemetry-v3.json"),
        ("/v1/readings", "reading-v1.json"),
        ("/v1/readings", "reading-v2.json"),
        ("/v1/activity", "activity-v1.json"),
    ],
)
def test_every_sample_of_every_contract_is_accepted(stack: Stack, route: str, name: str) -> None:
    status, headers, body = post(stack, route, samples.read_bytes(name))
    assert status == 202, body
    assert [result["status"] for result in body["results"]] == ["accepted"]
    assert headers["x-correlation-id"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("telemetry-unknown-firmware.json", "unknown_firmware"),
        ("telemetry-invalid.json", "contract_violation"),
        ("telemetry-malformed.json", "malformed_json"),
    ],
)
def test_a_bad_event_is_answered_with_its_own_error(stack: Stack, name: str, code: str) -> None:
    status, headers, body = post(stack, "/v1/events", samples.read_bytes(name))
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert [result["error"]["code"] for result in body["results"]] == [code]


def test_a_mixed_batch_is_answered_event_by_event_in_order(stack: Stack) -> None:
    status, _, body = post(stack, "/v1/events", samples.read_bytes("mixed-batch.json"))
    assert status == 207
    sent = samples.read("mixed-batch.json")
    assert [(result["index"], result["event_id"]) for result in body["results"]] == [
        (index, event["event_id"]) for index, event in enumerate(sent)
    ]
    assert [result["status"] for result in body["results"]] == ["accepted", "rejected", "accepted", "rejected"]
    assert body["results"][3]["error"]["violations"][0].keys() == {"path", "rule", "message"}


def test_only_a_device_key_is_accepted(stack: Stack) -> None:
    event = samples.read_bytes("telemetry-v1.json")
    device = stack["keys"]["device"]
    answers = {
        name: post(stack, "/v1/events", event, key)
        for name, key in {
            "missing_key": "",
            "malformed_key": device[:-1] + ("0" if device[-1] != "0" else "1"),
            "wrong_role": stack["keys"]["reader"],
        }.items()
    }
    assert {name: body["code"] for name, (_, _, body) in answers.items()} == {name: name for name in answers}
    assert [status for status, _, _ in answers.values()] == [401, 401, 403]


def test_ten_thousand_events_are_stored_exactly_once_byte_for_byte_without_a_gap(stack: Stack) -> None:
    fleet = Fleet(SEED, devices=500, clock=now)
    stack.settle(READERS)
    earlier = stack.stores.contents()
    ledger = asyncio.run(post_all(stack["api"], stack["keys"]["device"], batches_of(fleet, COUNT, SEED)))
    assert set(ledger.statuses) <= {202, 207, 400}
    assert sum(ledger.accepted.values()) > 0.95 * COUNT
    assert ledger.rejected
    assert not ledger.unknown

    stack.settle_numbers(readers=READERS)
    assert balance(ledger, stack.stores.read(), earlier).stored >= sum(ledger.accepted.values())

    seen = [digest(event.encode()) for (event,) in stack.query("--sql", "SELECT event FROM events")[1:]]
    assert len(seen) == len(set(seen))
    assert set(ledger.accepted) <= set(seen)
    assert not ledger.rejected & set(seen)


def test_contracts_and_firmware_versions_live_side_by_side_in_the_view(stack: Stack) -> None:
    fleet = Fleet(7, devices=50, clock=now)
    batches = [[fleet.good_event(route) for _ in range(50)] for route in (EVENTS, READINGS, ACTIVITY)]
    asyncio.run(post_all(stack["api"], stack["keys"]["device"], batches))
    stack.settle()
    sql = "SELECT DISTINCT contract, schema_version FROM events ORDER BY 1, 2"
    assert stack.query("--sql", sql) == [
        ["contract", "schema_version"],
        ["activity", "1"],
        ["reading", "1"],
        ["reading", "2"],
        ["telemetry", "1"],
        ["telemetry", "2"],
        ["telemetry", "3"],
    ]


def test_what_is_sent_twice_is_one_event_in_the_view_and_two_places_in_raw(stack: Stack) -> None:
    event = samples.read("activity-v1.json") | {"metadata": {"once": "again"}}
    for _ in range(2):
        assert post(stack, "/v1/activity", samples.encode(event))[0] == 202
    stack.settle()
    marker = 'event LIKE \'%"once": "again"%\''
    assert stack.query("--sql", f"SELECT count(*) FROM events WHERE {marker}")[1] == ["1"]
    assert stack.query("--sql", f"SELECT count(*) FROM raw_events WHERE {marker}")[1] == ["2"]


def test_late_and_early_events_are_flagged_and_kept(stack: Stack) -> None:
    moments = {"late_arrival": now() - timedelta(hours=2), "clock_ahead": now() + timedelta(hours=1)}
    for flag, moment in moments.items():
        event = samples.read("telemetry-v1.json") | {"device_id": f"clock-{flag}", "timestamp": moment.isoformat()}
        assert post(stack, "/v1/events", samples.encode(event))[0] == 202
    stack.settle()
    for flag, moment in moments.items():
        sql = f"SELECT flags[1], event_date FROM events WHERE device_id = 'clock-{flag}'"
        assert stack.query("--sql", sql)[1:] == [[flag, moment.date().isoformat()]]


def test_a_row_leaves_out_what_the_view_shows(stack: Stack) -> None:
    left_out = ("event_date", "flags", "metrics", "kafka_topic")
    moment, metrics = now(), {"cpu_temp": 48, "vibration_rms": 2.5, "supply_voltage": 24}
    telemetry = {"device_id": "lean-1", "timestamp": moment.isoformat(), "metrics": metrics}
    activity = {"source": "lean-1", "timestamp": moment.isoformat(), "metrics": {"cpu_temp": {"deep": 1}}}
    for route, name, changes in (("events", "telemetry-v1", telemetry), ("activity", "activity-v1", activity)):
        assert post(stack, f"/v1/{route}", samples.encode(samples.read(f"{name}.json") | changes))[0] == 202
    stack.settle()
    null = " AND ".join(f"{name} IS NULL" for name in left_out)
    assert stack.query("--sql", f"SELECT count(*) FROM raw_events WHERE device_id = 'lean-1' AND {null}")[1] == ["2"]
    sql = f"SELECT {', '.join(left_out)} FROM events WHERE device_id = 'lean-1' ORDER BY contract DESC"
    day, shown = moment.date().isoformat(), "{cpu_temp=48.0, vibration_rms=2.5, supply_voltage=24.0}"
    assert stack.query("--sql", sql)[1:] == [[day, "[]", shown, "raw-events"], [day, "[]", "{}", "raw-events"]]


def test_the_order_of_a_device_is_the_order_of_its_offsets(stack: Stack) -> None:
    template = samples.read("telemetry-v2.json") | {"device_id": "steady-1"}
    ids = [f"00000000-0000-4000-8000-{number:012d}" for number in range(300)]
    for start in range(0, 300, 100):
        batch = [template | {"event_id": event_id} for event_id in ids[start : start + 100]]
        assert post(stack, "/v1/events", samples.encode(batch))[0] == 202
    stack.settle()
    sql = "SELECT event_id, kafka_partition FROM events WHERE device_id = 'steady-1' ORDER BY kafka_offset"
    rows = stack.query("--sql", sql)[1:]
    assert [event_id for event_id, _ in rows] == ids
    assert len({partition for _, partition in rows}) == 1


def test_the_named_queries_answer_the_questions_asked_most(stack: Stack) -> None:
    moment = now()
    event = samples.read("telemetry-v3.json") | {"device_id": "asked-for", "timestamp": moment.isoformat()}
    activity = samples.read("activity-v1.json") | {"type": "asked_for", "timestamp": moment.isoformat()}
    assert post(stack, "/v1/events", samples.encode(event))[0] == 202
    assert post(stack, "/v1/activity", samples.encode(activity))[0] == 202
    stack.settle()
    span = [(moment + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ") for minutes in (-1, 1)]
    fleet = stack["fleet"]
    assert len(stack.query("--name", "device_between", fleet, "asked-for", *span)) == 2
    assert len(stack.query("--name", "device_between", fleet, "asked-for", span[1], "2100-01-01")) == 1
    header, *rows = stack.query("--name", "metric_between", "bearing_temp", *span)
    assert ["61.3"] in [row[header.index("value") :] for row in rows]
    assert len(stack.query("--name", "type_between", "asked_for", *span)) == 2
