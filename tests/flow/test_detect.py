"""A rule that an admin writes judges the next readings, and learn publishes on its schedule."""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

import psycopg
from confluent_kafka import Consumer, TopicPartition

from sluice.core.consumers import ALERT_EVENTS
from tests.flow.conftest import ROOT, Stack, create_fleet
from tests.flow.http import post
from tests.support.letters import put, telemetry

FLEET = "too-hot"


def create_rule(stack: Stack) -> None:
    given = "create too-hot hot --kind above --metric cpu_temp --open 80 --clear 75 --severity critical"
    command = [sys.executable, "-m", "cli", "rules", *given.split(), "--dir", str(stack.directory)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def read_verdict(stack: Stack, seconds: float = 60) -> dict[str, Any]:
    """The first verdict about the fleet in alert-events."""
    consumer = Consumer({"bootstrap.servers": stack["broker"], "group.id": "tests", "enable.auto.commit": False})
    deadline = time.monotonic() + seconds
    try:
        numbers = consumer.list_topics(ALERT_EVENTS, timeout=20).topics[ALERT_EVENTS].partitions
        consumer.assign([TopicPartition(ALERT_EVENTS, number, 0) for number in numbers])
        while time.monotonic() < deadline:
            for message in consumer.consume(100, timeout=1):
                found: dict[str, Any] = json.loads(message.value() or b"{}")
                if found.get("fleet_id") == FLEET:
                    assert message.key() == b"too-hot/press-2"
                    return found
    finally:
        consumer.close()
    raise AssertionError("no verdict came")


def test_a_breach_of_a_rule_is_a_verdict_within_seconds(stack: Stack) -> None:
    key = create_fleet(stack, FLEET)
    create_rule(stack)
    # A process that judges looks for newer rules every second here.
    time.sleep(3)
    at = datetime.now(UTC)
    usual, hot = telemetry(1, put("cpu_temp", 50.0), at), telemetry(2, put("cpu_temp", 91.5), at)
    status, _, _ = post(stack, "/v1/events", b"[" + usual + b"," + hot + b"]", key)
    assert status == 202
    verdict = read_verdict(stack)
    assert (verdict["rule_id"], verdict["severity"], verdict["device_id"]) == ("hot", "critical", "press-2")
    assert [reading[2:4] for reading in verdict["readings"]] == [[91.5, "breach"]]
    assert verdict["why"] == "91.5 degC is above the threshold of 80 degC"


def test_learn_publishes_every_shard_that_is_rolled(stack: Stack) -> None:
    deadline = time.monotonic() + 120
    with psycopg.connect(stack["database"], autocommit=True) as connection:
        while connection.execute("SELECT count(*) FROM learned WHERE published_at > '-infinity'").fetchone() != (64,):
            assert time.monotonic() < deadline, "learn has not published"
            time.sleep(1)
