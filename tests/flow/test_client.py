"""The example clients, run as a device would run them: what they report as accepted is in the view, byte for byte."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.flow.conftest import ROOT, Stack
from tests.support import samples

CLIENTS = ROOT / "docs/client"


def run(stack: Stack, command: list[str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a client with what it takes from the environment, and nothing else of ours."""
    environment = {"API": stack["api"], "KEY": stack["keys"]["device"], "PATH": os.environ["PATH"]}
    return subprocess.run(command, input=stdin, env=environment, capture_output=True, check=False, timeout=120)


def events_of(device: str, count: int) -> list[bytes]:
    """Events of one device, each with an id of its own."""
    template = samples.read("telemetry-v2.json") | {"device_id": device}
    return [samples.encode(template | {"event_id": str(uuid.uuid4())}) for _ in range(count)]


def stored(stack: Stack, device: str) -> list[bytes]:
    """The bytes of a device's events in the view, in the order of their offsets."""
    stack.settle()
    rows = stack.query("--sql", f"SELECT event FROM events WHERE device_id = '{device}' ORDER BY kafka_offset")
    return [event.encode() for (event,) in rows[1:]]


@pytest.mark.parametrize("options", [[], ["--gzip"]], ids=["plain", "gzip"])
def test_what_the_client_sends_arrives_in_order_and_what_is_rejected_is_left(
    stack: Stack, tmp_path: Path, options: list[str]
) -> None:
    device = f"client-{len(options)}"
    events = events_of(device, 250)
    bad = samples.encode(samples.read("telemetry-invalid.json"))
    # A text with half of a surrogate pair: Python takes it for JSON, Sluice rejects the whole array.
    spoils = b'{"n": "\\ud800"}'
    (tmp_path / "events.jsonl").write_bytes(b"\n".join([*events[:120], bad, spoils, *events[120:]]))
    left = tmp_path / "left.jsonl"
    command = [sys.executable, str(CLIENTS / "client.py"), "--left", str(left), *options]
    ran = run(stack, [*command, str(tmp_path / "events.jsonl")])
    assert ran.returncode == 3, ran.stderr
    assert ran.stderr.decode() == "250 accepted, 2 rejected, 0 unsettled\n"
    told = [json.loads(line) for line in left.read_text().splitlines()]
    assert [(one["error"]["code"], one["event"].encode()) for one in told] == [
        ("contract_violation", bad),
        ("malformed_json", spoils),
    ]
    assert stored(stack, device) == events


def test_a_pipe_of_readings_is_taken_too(stack: Stack) -> None:
    device = f"client-{uuid.uuid4()}"
    reading = samples.encode(samples.read("reading-v1.json") | {"device_id": device, "event_id": device})
    ran = run(stack, [sys.executable, str(CLIENTS / "client.py"), "--route", "/v1/readings"], reading)
    assert (ran.returncode, ran.stderr) == (0, b"1 accepted, 0 rejected, 0 unsettled\n")
    assert stored(stack, device) == [reading]


def test_an_unknown_key_leaves_every_event_to_be_sent_another_time(stack: Stack) -> None:
    event = events_of("client-reader", 1)[0]
    stranger = {"API": stack["api"], "KEY": stack["keys"]["reader"], "PATH": os.environ["PATH"]}
    command = [sys.executable, str(CLIENTS / "client.py")]
    ran = subprocess.run(command, input=event, env=stranger, capture_output=True, check=False, timeout=120)
    left, summary = ran.stderr.decode().splitlines()
    assert (ran.returncode, summary) == (1, "0 accepted, 0 rejected, 1 unsettled")
    assert json.loads(left)["error"]["code"] == "wrong_role"
    assert json.loads(left)["event"].encode() == event


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_the_shell_client_sends_arrives(stack: Stack, tmp_path: Path) -> None:
    events = events_of("client-shell", 100)
    batch, mixed = tmp_path / "batch.json", ROOT / "events/mixed-batch.json"
    batch.write_bytes(b"[\n" + b",\n".join(events) + b"\n]\n")
    ran = run(stack, ["sh", str(CLIENTS / "client.sh"), "/v1/events", str(batch)])
    assert (ran.returncode, ran.stderr) == (0, b"")
    ran = run(stack, ["sh", str(CLIENTS / "client.sh"), "/v1/events", str(mixed)])
    statuses = [result["status"] for result in json.loads(ran.stderr)["results"]]
    assert (ran.returncode, statuses) == (3, ["accepted", "rejected", "accepted", "rejected"])
    assert stored(stack, "client-shell") == events
