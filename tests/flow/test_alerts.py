"""From a verdict in Kafka to a message of SNS, a person's command and the end, on a whole stack."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import jsonschema
import msgspec
from confluent_kafka import Producer

from sluice.core.detect.verdicts import Verdict
from sluice.core.detect.watching import name_device
from tests.contracts.test_alerts import SCHEMA
from tests.flow.conftest import ROOT, Stack, create_fleet
from tests.support.alerts import STATES, verdict
from tests.support.alerts import reading as judged

FLEET, DEVICE = "alerted", "alerted-1"


def judge(states: str, first: int, begun: datetime) -> Verdict:
    readings = [
        msgspec.structs.replace(judged(first + number, STATES[state]), at=begun + timedelta(seconds=first + number))
        for number, state in enumerate(states)
    ]
    return verdict(readings, DEVICE, fleet_id=FLEET)


def tell(stack: Stack, *verdicts: Verdict) -> None:
    producer = Producer({"bootstrap.servers": stack["broker"], "acks": "all"})
    for each in verdicts:
        key = name_device(each.fleet_id, each.device_id)
        producer.produce("alert-events", key=key.encode(), value=msgspec.json.encode(each))
    assert producer.flush(30) == 0


def subscribe(stack: Stack) -> Callable[[], list[dict[str, Any]]]:
    """Subscribe a queue to the standard topic, as a fleet's owner would."""
    login = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "endpoint_url": stack["aws"]}
    sns, sqs = (boto3.client(service, stack["region"], **login) for service in ("sns", "sqs"))
    (topic,) = [each["TopicArn"] for each in sns.list_topics()["Topics"] if each["TopicArn"].endswith("-alerts")]
    queue = sqs.create_queue(QueueName="an-owners-queue")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"FilterPolicy": json.dumps({"fleet": [FLEET]})}
    )
    found: dict[int, dict[str, Any]] = {}

    def read() -> list[dict[str, Any]]:
        for each in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", ()):
            message = json.loads(json.loads(each["Body"])["Message"])
            jsonschema.validate(message, SCHEMA)
            found[message["sequence"]] = message
        return [found[number] for number in sorted(found)]

    return read


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def sluice(stack: Stack, *arguments: str) -> Any:
    command = [sys.executable, "-m", "cli", "alerts", *arguments, "--dir", str(stack.directory), "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr.decode()
    return json.loads(ran.stdout)


def test_a_verdict_becomes_a_message_that_a_person_can_ask_about_acknowledge_and_see_end(stack: Stack) -> None:
    create_fleet(stack, FLEET)
    read, begun = subscribe(stack), datetime.now(UTC) - timedelta(minutes=1)
    breach = judge("b", 0, begun)
    tell(stack, breach, breach)
    until(lambda: [each["happening"] for each in read()] == ["opened"])
    (listed,) = sluice(stack, "list", "--fleet", FLEET)["items"]
    assert listed["incident_id"] == read()[0]["incident_id"]
    shown = sluice(stack, "show", listed["incident_id"])
    assert [each["device_id"] for each in shown["devices"]] == [DEVICE]
    assert "sluice-local-admin" in sluice(stack, "acknowledge", listed["incident_id"])["acknowledged_by"]
    # attend tells it, a minute of the schedule later.
    until(lambda: [each["happening"] for each in read()] == ["opened", "acknowledged"])
    tell(stack, breach, judge("..", 1, begun))
    until(lambda: [each["happening"] for each in read()] == ["opened", "acknowledged", "resolved"])
    assert sluice(stack, "list", "--fleet", FLEET, "--state", "open")["items"] == []
