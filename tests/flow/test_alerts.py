"""From a reading to the person who is notified, on a whole stack: a rule, a breach, an incident, Slack, and the end."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import psycopg

from local.models.aws_client import aws_client
from tests.contracts.test_alerts import SCHEMA
from tests.flow.conftest import ROOT, Stack, create_fleet
from tests.flow.http import post
from tests.support.letters import put, telemetry

FLEET, DEVICE = "too-hot", "press-2"


def sluice(stack: Stack, *arguments: str) -> Any:
    command = [sys.executable, "-m", "cli", *arguments, "--dir", str(stack.directory), "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def name_destination(stack: Stack) -> None:
    """Let an admin name a destination, whose address is in a secret, and test it."""
    secret = f"sluice-{stack['stage']}-destinations/flow"
    address = json.dumps({"url": f"{stack['receivers']}/slack/flow"})
    aws_client("secretsmanager", stack["aws"], stack["region"]).create_secret(Name=secret, SecretString=address)
    sluice(stack, "destinations", "create", "flow", "--kind", "slack", "--secret", secret, "--fleet", FLEET)
    tested = sluice(stack, "destinations", "test", "flow")
    assert (tested["outcome"], tested["status"]) == ("delivered", 200)


def receive_slack(stack: Stack) -> list[dict[str, Any]]:
    """Return what Slack received of incidents, the oldest first, behind the test of the destination."""
    with urllib.request.urlopen(f"{stack['receivers']}/received") as answer:
        bodies = [each["body"] for each in json.load(answer)["received"] if each["path"] == "/slack/flow"]
    assert bodies[0]["text"].startswith("🔧 Test: ")
    return bodies[1:]


def read_slack(stack: Stack) -> list[str]:
    """Return what people read on their lock screens."""
    return [each["text"] for each in receive_slack(stack)]


def subscribe(stack: Stack) -> Callable[[], list[dict[str, Any]]]:
    """Subscribe a queue to the standard topic, as a fleet's owner would; return what reads its messages."""
    sns, sqs = (aws_client(service, stack["aws"], stack["region"]) for service in ("sns", "sqs"))
    (topic,) = [each["TopicArn"] for each in sns.list_topics()["Topics"] if each["TopicArn"].endswith("-alerts")]
    queue = sqs.create_queue(QueueName="an-owners-queue")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    only = {"FilterPolicy": json.dumps({"fleet": [FLEET]})}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=only)
    found: dict[tuple[str, int], dict[str, Any]] = {}

    def read() -> list[dict[str, Any]]:
        for each in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", ()):
            message = json.loads(json.loads(each["Body"])["Message"])
            jsonschema.validate(message, SCHEMA)
            found[message["incident_id"], message["sequence"]] = message
        return list(found.values())

    return read


def send_until(stack: Stack, key: str, degrees: float, holds: Callable[[], Any], seconds: float = 120) -> None:
    """Let the device send a reading a second until something holds."""
    deadline = time.monotonic() + seconds
    # Events of its own, and all of the one device.
    number = round(degrees) * 4000 + 2
    while not holds():
        assert time.monotonic() < deadline
        number += 40
        event = telemetry(number, put("cpu_temp", degrees), datetime.now(UTC))
        asked = f"sent-{json.loads(event)['event_id']}"
        status, headers, _ = post(stack, "/v1/events", event, key, x_correlation_id=asked)
        assert (status, headers["x-correlation-id"]) == (202, asked)
        time.sleep(1)


def test_people_are_notified_of_a_breach_once_and_of_its_end(stack: Stack) -> None:
    key = create_fleet(stack, FLEET)
    hot = "create too-hot hot --kind above --metric cpu_temp --open 80 --clear 75 --severity critical"
    sluice(stack, "rules", *hot.split())
    name_destination(stack)
    read = subscribe(stack)

    send_until(stack, key, 91.5, lambda: read_slack(stack))
    (told,) = read_slack(stack)
    assert told.startswith(f"🔴 Critical: cpu_temp of {DEVICE}")
    (listed,) = [
        each for each in sluice(stack, "alerts", "list", "--fleet", FLEET)["items"] if each["rule_id"] == "hot"
    ]
    incident = listed["incident_id"]
    shown = sluice(stack, "alerts", "show", incident)
    assert [each["device_id"] for each in shown["devices"]] == [DEVICE]
    assert "sluice-local-admin" in sluice(stack, "alerts", "acknowledge", incident)["acknowledged_by"]

    send_until(stack, key, 50.0, lambda: "resolved" in [each["happening"] for each in read()])
    messages = sorted((each for each in read() if each["incident_id"] == incident), key=lambda each: each["sequence"])
    assert [each["sequence"] for each in messages] == list(range(1, len(messages) + 1))
    happened = [each["happening"] for each in messages]
    assert (happened[0], happened[-1], happened.count("opened")) == ("opened", "resolved", 1)
    assert messages[0]["why"] == "91.5 degC is above the threshold of 80 degC"
    link = messages[0]["dashboard"]
    assert link.startswith(f"{stack['api']}/#fleet={FLEET}&device={DEVICE}&metric=cpu_temp&from=")
    with urllib.request.urlopen(link) as page:
        assert page.status == 200
        assert b"Sluice" in page.read()
    assert f"<{link.replace('&', '&amp;')}|Open the dashboard>" in json.dumps(receive_slack(stack)[0])
    deadline = time.monotonic() + 60
    with psycopg.connect(stack["database"], autocommit=True) as connection:
        find = "SELECT outcome FROM delivery WHERE incident_id = %s AND destination_id = 'flow' ORDER BY sequence"
        while len(rows := connection.execute(find, (incident,)).fetchall()) < 2:
            assert time.monotonic() < deadline, "the attempts are not stored"
            time.sleep(0.2)
    assert set(rows) == {("delivered",)}
    assert len([text for text in read_slack(stack) if text.startswith("🔴")]) == 1
    assert sluice(stack, "notifications", "list")["items"] == []
    follow_one_id(stack, messages[0])


def follow_one_id(stack: Stack, opened: dict[str, Any]) -> None:
    """Follow the id of one request to the row, the incident, the messages, Slack, the log lines and trace."""
    event_id, correlation_id = opened["event_id"], f"sent-{opened['event_id']}"
    assert opened["correlation_id"] == correlation_id
    with urllib.request.urlopen(f"{stack['receivers']}/received") as answer:
        posted = [each["headers"].get("x-correlation-id") for each in json.load(answer)["received"]]
    assert posted.count(correlation_id) >= 1
    for verb in ("alert", "notify"):
        lines = (stack.directory / "state" / "lambdas" / f"{stack['functions'][verb]}.log").read_text()
        assert correlation_id in lines, verb
    stack.settle(("archive",))
    (event,) = sluice(stack, "trace", event_id, "--fleet", FLEET)["events"]
    assert [copy["correlation_id"] for copy in event["copies"]] == [correlation_id]
    (incident,) = [each for each in event["incidents"] if each["incident_id"] == opened["incident_id"]]
    assert (incident["rule_id"], incident["correlation_id"]) == ("hot", correlation_id)
    first = incident["messages"][0]
    assert (first["happening"], first["correlation_id"]) == ("opened", correlation_id)
    assert [(each["destination_id"], each["outcome"]) for each in first["attempts"]] == [("flow", "delivered")]


def test_a_rule_that_is_saved_promises_what_a_backtest_finds(stack: Stack) -> None:
    listed = sluice(stack, "alerts", "list", "--fleet", FLEET)["items"]
    (live,) = [each for each in listed if each["rule_id"] == "hot"]
    # All readings of the incident above are rolled by then.
    ended = datetime.fromisoformat(live["resolved_at"]) + timedelta(minutes=1)
    wait_for(lambda: closed_until(stack) >= ended)
    version = sluice(stack, "rules", "change", FLEET, "hot", "--open", "85")["version"]
    wait_for(lambda: sluice(stack, "rules", "show", FLEET, "hot")["promise"]["state"] == "done")
    promise = sluice(stack, "rules", "show", FLEET, "hot")["promise"]
    assert (promise["devices"], promise["device_days"], promise["incidents"]) == (1, 1, 1)
    found = sluice(stack, "detect", "backtest", "hot", "--fleet", FLEET, "--days", "7")
    result, (example,) = found["result"], found["result"]["first_incidents"]
    assert {name: result[name] for name in ("devices", "device_days", "incidents")} == {
        "devices": 1,
        "device_days": 1,
        "incidents": 1,
    }
    assert result["incidents_per_100_device_days"] == promise["incidents_per_100_device_days"] == 100.0
    assert (example["device_ids"], example["value"]) == ([DEVICE], 91.5)
    assert example["why"] == "91.5 degC is above the threshold of 85 degC"
    assert live["opened_at"][:16] == example["opened_at"][:16], "it opened in the same minute"
    report = sluice(stack, "rules", "report", FLEET)["items"]
    of_hot = {each["version"]: each for each in report if each["rule_id"] == "hot"}
    assert (of_hot[1]["incidents"], of_hot[version]["incidents"]) == (1, 0)
    assert of_hot[version]["promise"] == promise


def closed_until(stack: Stack) -> datetime:
    """Find up to when all minutes are rolled."""
    with psycopg.connect(stack["database"], autocommit=True) as connection:
        row = connection.execute("SELECT min(closed_until) FROM shard WHERE isfinite(closed_until)").fetchone()
    return datetime.min.replace(tzinfo=UTC) if row is None or row[0] is None else row[0]


def wait_for(holds: Callable[[], bool], seconds: float = 180) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(1)


def test_learn_publishes_every_shard_that_is_rolled(stack: Stack) -> None:
    deadline = time.monotonic() + 120
    with psycopg.connect(stack["database"], autocommit=True) as connection:
        while connection.execute("SELECT count(*) FROM learned WHERE published_at > '-infinity'").fetchone() != (64,):
            assert time.monotonic() < deadline, "learn has not published"
            time.sleep(1)
