"""Correct numbers: for any events, sent any number of times, rollups are those of the events themselves."""

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any

import psycopg

from cli.simulation.client import post_all
from cli.simulation.clocks import LATEST, now
from cli.simulation.devices import ACTIVITY, EVENTS, READINGS, Sent, write
from tests.flow.conftest import Stack, check_numbers, create_fleet
from tests.flow.http import post
from tests.support import samples
from tests.support.cache import open_cache
from tests.support.recomputation import percentile
from tests.support.stream import mixed


def rows(stack: Stack, sql: str, *parameters: Any) -> list[Any]:
    """Ask the database."""
    with psycopg.connect(stack["database"]) as connection:
        return connection.execute(sql.encode(), parameters).fetchall()


def telemetry(device: str, moment: datetime, value: float, version: str = "1.8.3", **extra: Any) -> Sent:
    """One event of a device with a temperature."""
    document = {
        "event_id": str(uuid.uuid4()),
        "device_id": device,
        "device_firmware_version": version,
        "timestamp": moment.isoformat(timespec="milliseconds"),
        "metrics": {"cpu_temp": value, "vibration_rms": 1.5, "supply_voltage": 24.0},
    }
    return Sent(EVENTS, write(document | extra), "telemetry")


def test_rollups_of_a_mixed_stream_equal_an_independent_recomputation(stack: Stack) -> None:
    key = create_fleet(stack, "mixed", events_per_second=100_000, rejects_per_second=100_000)
    ledger = asyncio.run(post_all(stack["api"], key, mixed(seed=41, count=4000), until_settled=True))
    assert sum(ledger.accepted.values()) > 4000
    assert ledger.rejected
    check_numbers(stack)
    found = rows(stack, "SELECT DISTINCT device_id IS NULL, resolution FROM rollups WHERE fleet_id = 'mixed'")
    assert {(True, "1m"), (False, "1m")} <= set(found)
    metrics = {metric for (metric,) in rows(stack, "SELECT DISTINCT metric FROM rollups WHERE fleet_id = 'mixed'")}
    assert {"cpu_temp", "bearing_temp", "temperature", "pressure", "current"} <= metrics
    assert "fan_speed" not in metrics


def test_an_event_counts_once_however_it_is_sent_again(stack: Stack) -> None:
    key = create_fleet(stack, "again")
    event = json.loads(telemetry("press-1", now() - LATEST, 40.0).body)
    other = event | {"timestamp": (now() - 3 * LATEST).isoformat(), "metrics": event["metrics"] | {"cpu_temp": 90.0}}
    copies = [event, event | {"event_id": event["event_id"].upper()}, other]
    for body in (copies, event, other, copies):
        assert post(stack, EVENTS, samples.encode(body), key)[0] == 202
    check_numbers(stack)
    assert rows(
        stack,
        "SELECT count, max FROM rollups"
        " WHERE (fleet_id, device_id, metric, resolution) = ('again', 'press-1', 'cpu_temp', '1m')",
    ) == [(1, 40.0)]
    outcomes = (
        "SELECT outcome, sum(events)::int FROM outcome WHERE (consumer, fleet_id) = ('aggregate', 'again') GROUP BY 1"
    )
    assert dict(rows(stack, outcomes)) == {"counted": 1, "duplicate": 7}


def test_a_clock_that_ran_ahead_and_was_set_right_counts_once_and_when_it_was_received(stack: Stack) -> None:
    key = create_fleet(stack, "ahead")
    # The gateway cuts the time of a reception to milliseconds.
    before = now() - timedelta(milliseconds=1)
    event = json.loads(telemetry("press-1", now() + timedelta(days=2), 40.0).body)
    for moment in (event["timestamp"], (now() - LATEST).isoformat(), event["timestamp"]):
        assert post(stack, EVENTS, samples.encode(event | {"timestamp": moment}), key)[0] == 202
    stack.settle()
    counted = rows(stack, "SELECT effective_time FROM sample JOIN entity USING (entity_key) WHERE fleet_id = 'ahead'")
    assert len(counted) == 1
    assert before <= counted[0][0] <= now()


def test_late_events_are_kept_and_not_counted(stack: Stack) -> None:
    key = create_fleet(stack, "late")
    late = telemetry("press-1", now() - timedelta(hours=2), 99.0)
    good = telemetry("press-1", now() - LATEST, 40.0)
    assert post(stack, EVENTS, b"[" + late.body + b"," + good.body + b"]", key)[0] == 202
    check_numbers(stack)
    assert rows(stack, "SELECT DISTINCT max FROM rollups WHERE fleet_id = 'late' AND metric = 'cpu_temp'") == [(40.0,)]
    outcomes = (
        "SELECT outcome, sum(events)::int FROM outcome WHERE (consumer, fleet_id) = ('aggregate', 'late') GROUP BY 1"
    )
    assert dict(rows(stack, outcomes)) == {"counted": 1, "late": 1}


def test_fields_that_no_contract_names_are_listed_and_do_not_count(stack: Stack) -> None:
    key = create_fleet(stack, "undeclared")
    moment = now() - LATEST
    event = json.loads(telemetry("press-1", moment, 40.0, version="2.4.1", line="B").body)
    event["metrics"]["fan_speed"] = 1200
    reading = samples.read("reading-v1.json") | {"event_time": moment.isoformat(), "line": "B"}
    activity = samples.read("activity-v1.json") | {"timestamp": moment.isoformat(), "shift": 3}
    for route, body in ((EVENTS, event), (READINGS, reading), (ACTIVITY, activity)):
        assert post(stack, route, samples.encode(body), key)[0] == 202
    check_numbers(stack)
    found = rows(
        stack, "SELECT contract, schema_version, field, events FROM unknown_field WHERE fleet_id = 'undeclared'"
    )
    assert sorted(found) == [
        ("activity", 1, "shift", 1),
        ("reading", 1, "line", 1),
        ("telemetry", 2, "line", 1),
        ("telemetry", 2, "metrics.fan_speed", 1),
    ]
    metrics = rows(stack, "SELECT DISTINCT metric FROM rollups WHERE fleet_id = 'undeclared' ORDER BY 1")
    assert [metric for (metric,) in metrics] == ["cpu_temp", "supply_voltage", "temperature", "vibration_rms"]


def test_live_counters_say_how_many_of_each_type_came_in_each_minute(stack: Stack) -> None:
    key = create_fleet(stack, "counters")
    began = now()
    events = [telemetry(f"press-{number}", now() - LATEST, 40.0) for number in range(30)]
    assert post(stack, EVENTS, b"[" + b",".join(event.body for event in events) + b"]", key)[0] == 202
    activity = samples.read("activity-v1.json") | {"timestamp": (now() - LATEST).isoformat()}
    assert post(stack, ACTIVITY, samples.encode(activity), key)[0] == 202
    stack.settle()
    counted = Counter[str]()
    minute = int(began.timestamp()) // 60 * 60
    with open_cache(stack["cache"]) as cache:
        while minute <= time.time():
            for kind, count in cache.hgetall(f"count:{{counters}}:{minute}").items():
                counted[kind.decode()] += int(count)
            minute += 60
    assert counted == {"telemetry": 30, activity["type"]: 1}


def test_a_fleets_p95_of_an_hour_is_that_of_all_its_samples_and_not_the_mean_of_its_devices(stack: Stack) -> None:
    key = create_fleet(stack, "hour", events_per_second=100_000)
    hour = an_hour_that_has_ended()
    # One device of ten sends most: no average over devices is right for the fleet.
    values = {f"press-{number}": [40 + number + step / 10 for step in range(10)] for number in range(9)}
    values["press-busy"] = [70 + step / 10 for step in range(300)]
    moment = hour - timedelta(seconds=30)
    events = [telemetry(device, moment, value) for device, held in values.items() for value in held]
    ledger = asyncio.run(post_all(stack["api"], key, in_batches(events), until_settled=True))
    assert sum(ledger.accepted.values()) == len(events)
    check_numbers(stack, through=hour)
    sql = "SELECT p95 FROM rollups WHERE (fleet_id, metric, resolution) = ('hour', 'cpu_temp', '1h')"
    ((fleet,),) = rows(stack, f"{sql} AND device_id IS NULL")
    devices = [p95 for (p95,) in rows(stack, f"{sql} AND device_id IS NOT NULL")]
    right, _ = percentile(sorted(value for held in values.values() for value in held), 0.95, None)
    assert abs(fleet - right) <= 0.1  # the resolution of the sensor
    assert len(devices) == 10
    assert abs(fmean(devices) - right) > 10


def in_batches(events: list[Sent]) -> Iterator[list[Sent]]:
    for start in range(0, len(events), 100):
        yield events[start : start + 100]


def an_hour_that_has_ended() -> datetime:
    """The end of an hour whose last minute is not late, nor soon will be. Shortly before the next hour, it waits."""
    while now().minute >= 58:
        time.sleep(1)
    return now().replace(minute=0, second=0, microsecond=0)
