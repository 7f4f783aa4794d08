"""An admin names a destination, an incident is told there, and the attempt is stored, in a whole stack."""

import json
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg

from local.models.aws_client import aws_client
from tests.flow.conftest import ROOT, Stack
from tests.support.alert_messages import make_message

PATIENCE = 60


def run(stack: Stack, *arguments: str) -> str:
    command = [sys.executable, "-m", "cli", *arguments, "--dir", str(stack.directory)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def received(stack: Stack) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{stack['receivers']}/received") as answer:
        found: list[dict[str, Any]] = json.load(answer)["received"]
        return found


def test_an_incident_is_told_where_an_admin_said_and_the_attempt_is_stored(stack: Stack) -> None:
    stage = stack["stage"]
    secret = f"sluice-{stage}-destinations/flow"
    url = f"{stack['receivers']}/slack/flow"
    keeper = aws_client("secretsmanager", stack["aws"], stack["region"])
    keeper.create_secret(Name=secret, SecretString=json.dumps({"url": url}))
    run(stack, "destinations", "create", "flow", "--kind", "slack", "--secret", secret)
    sns = aws_client("sns", stack["aws"], stack["region"])
    (topic,) = [
        each["TopicArn"] for each in sns.list_topics()["Topics"] if each["TopicArn"].endswith(f"-{stage}-alerts.fifo")
    ]
    now = datetime.now(UTC)
    message = make_message(incident_id=f"{time.time_ns():024x}"[:24], stage=stage, opened_at=now, at=now, read_at=now)
    body = msgspec.json.encode(message).decode()
    sns.publish(
        TopicArn=topic,
        Message=body,
        MessageGroupId=message.incident_id,
        MessageDeduplicationId=f"{message.incident_id}-1",
    )

    deadline = time.monotonic() + PATIENCE
    while not received(stack):
        assert time.monotonic() < deadline, "no one was told"
        time.sleep(0.2)
    (told,) = received(stack)
    assert told["path"] == "/slack/flow"
    assert told["body"]["text"].startswith("🔴 Critical: bearing_temperature of press-00017")
    assert run(stack, "notifications", "list").splitlines()[1:] == []
    with psycopg.connect(stack["database"], autocommit=True) as connection:
        deadline = time.monotonic() + PATIENCE
        find = "SELECT destination_id, outcome FROM delivery WHERE incident_id = %s"
        while not (rows := connection.execute(find, (message.incident_id,)).fetchall()):
            assert time.monotonic() < deadline, "the attempt is not stored"
            time.sleep(0.2)
    assert rows == [("flow", "delivered")]
