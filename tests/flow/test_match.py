"""An id that recurs with other bytes: the first event counts, and the later one is a dead letter that holds both."""

import json
import time
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from confluent_kafka import Producer

from cli.functions import find_function
from cli.stages import Target
from sluice.core.times import write_time
from tests.flow.conftest import Stack, check_numbers, create_fleet
from tests.flow.http import post
from tests.support import samples

FLEET, DEVICE = "matched", "matched-1"


def telemetry(event_id: str, moment: datetime, cpu_temp: float) -> bytes:
    document = samples.read("telemetry-v2.json") | {"event_id": event_id, "device_id": DEVICE}
    document["metrics"] |= {"cpu_temp": cpu_temp}
    return samples.encode(document | {"timestamp": moment.isoformat()})


def store_earlier(stack: Stack, event: bytes, received: datetime) -> None:
    """Store an event as ingest would have done some hours ago, where the device's events are."""
    (partition,) = {row.place.partition for row in stack.stores.rows() if row.event.device_id == DEVICE}
    producer = Producer({"bootstrap.servers": stack["broker"], "acks": "all"})
    header = json.dumps([1, write_time(received), FLEET, "telemetry", 2, [], "c"]).encode()
    producer.produce("raw-events", key=DEVICE.encode(), value=event, headers=[("sluice", header)], partition=partition)
    assert producer.flush(30) == 0


def conflicts(stack: Stack) -> dict[str, dict[str, Any]]:
    """The fleet's dead letters of conflicts, by the events' ids."""
    stack.settle(("deadletter",))
    found = [dict(one.fields) for one in stack.stores.letters() if one.fields["reason"] == "conflict"]
    return {letter["event_id"]: letter for letter in found if letter["fleet_id"] == FLEET}


def count(stack: Stack) -> tuple[Counter[str], dict[str, int]]:
    """How many samples each id has, and the outcomes in aggregate's account."""
    with psycopg.connect(stack["database"]) as connection:
        keys = connection.execute(
            "SELECT event_key::text FROM sample JOIN entity USING (entity_key) WHERE fleet_id = %s", [FLEET]
        ).fetchall()
        outcomes = connection.execute(
            "SELECT outcome, sum(events)::int FROM outcome WHERE consumer = 'aggregate' AND fleet_id = %s GROUP BY 1",
            [FLEET],
        ).fetchall()
    return Counter(key for (key,) in keys), {outcome: events for outcome, events in outcomes if events}


@pytest.mark.shows_fault(
    part="device",
    fault="it uses an id again with other bytes, at once or hours later",
    expected="raw has both, the first counts once, the later one is a dead letter with the bytes of both",
)
def test_an_id_that_recurs_with_other_bytes_counts_once_and_its_later_event_is_a_conflict(stack: Stack) -> None:
    key = create_fleet(stack, FLEET)
    now = datetime.now(UTC)
    soon, late = str(uuid.uuid4()), str(uuid.uuid4())
    bodies = {
        soon: [telemetry(soon, now - timedelta(minutes=6), 41.0), telemetry(soon, now - timedelta(minutes=5), 42.0)],
        late: [telemetry(late, now - timedelta(hours=3), 51.0), telemetry(late, now - timedelta(minutes=4), 52.0)],
    }
    for body in bodies[soon]:
        assert post(stack, "/v1/events", body, key)[0] == 202
    stack.settle()
    store_earlier(stack, bodies[late][0], now - timedelta(hours=3))
    stack.settle()
    assert post(stack, "/v1/events", bodies[late][1], key)[0] == 202
    stack.settle_numbers()
    assert count(stack) == (Counter({soon: 1, late: 2}), {"counted": 3, "duplicate": 1})

    match = find_function(Target("", stack.directory), "match")
    deadline = time.monotonic() + 90
    # reconcile counts the files first.
    while set(conflicts(stack)) != {soon, late}:
        assert time.monotonic() < deadline, conflicts(stack)
        match({})
        time.sleep(2)
    for event_id, letter in conflicts(stack).items():
        assert (letter["consumer"], letter["device_id"]) == ("match", DEVICE)
        assert [letter["first_event"], letter["event"]] == [body.decode() for body in bodies[event_id]]
        assert letter["first_kafka_offset"] < letter["kafka_offset"]
        assert letter["first_kafka_partition"] == letter["kafka_partition"]
    assert count(stack) == (Counter({soon: 1, late: 1}), {"counted": 2, "duplicate": 2})
    check_numbers(stack)

    reconcile = find_function(Target("", stack.directory), "reconcile")
    # What was received three hours ago may be of the day before.
    days = {(now - timedelta(hours=hours)).date().isoformat() for hours in (0, 3)}
    statements = [reconcile({"statement": day}) for day in days]
    accounts = [one for statement in statements for one in statement["fleets"] if one["fleet_id"] == FLEET]
    assert {account["aggregate"]["not_yet"] for account in accounts} == {0}
    assert sum(account["accepted"] for account in accounts) == 4
