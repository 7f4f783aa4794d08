"""Where an event is: each possible story, for events that were really sent."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from cli.functions import find_function
from cli.stages import Target
from local.admin import Admin
from tests.flow.conftest import ROOT, Stack, create_fleet
from tests.flow.http import post
from tests.support import samples

DEVICE = "traced-1"


@dataclass(frozen=True)
class Sent:
    """The ids of the sent events, by their outcome."""

    ids: dict[str, str]
    times: dict[str, datetime]


def telemetry(event_id: str, moment: datetime, **changed: Any) -> bytes:
    document = samples.read("telemetry-v2.json") | {"event_id": event_id, "device_id": DEVICE}
    return samples.encode(document | {"timestamp": moment.isoformat()} | changed)


@pytest.fixture(scope="module")
def sent(stack: Stack) -> Sent:
    """One event of each kind, sent and processed."""
    now = datetime.now(UTC)
    times = {
        "accepted": now - timedelta(minutes=5),
        "duplicate": now - timedelta(minutes=6),
        "altered": now - timedelta(minutes=7),
        "late": now - timedelta(hours=2),
        "ahead": now + timedelta(hours=1),
        "rejected": now,
    }
    ids = {kind: str(uuid.uuid4()) for kind in times}
    bodies = {kind: telemetry(ids[kind], times[kind]) for kind in times}
    for kind in ("accepted", "duplicate", "duplicate", "altered", "late", "ahead"):
        assert post(stack, "/v1/events", bodies[kind])[0] == 202
    later = telemetry(ids["altered"].upper(), now - timedelta(minutes=4), firmware_note="another")
    assert post(stack, "/v1/events", later)[0] == 202
    assert post(stack, "/v1/events", telemetry(ids["rejected"].upper(), now, metrics={"cpu_temp": "hot"}))[0] == 400
    stack.settle_numbers()
    return Sent(ids, times)


def get(stack: Stack, event_id: str, key: str = "", **parameters: str) -> tuple[int, Any]:
    """Ask as a reader does."""
    address = f"{stack['api']}/v1/trace/{quote(event_id, safe='')}?{urlencode(parameters)}"
    request = urllib.request.Request(address, headers={"x-api-key": key or stack["keys"]["reader"]})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def find(stack: Stack, event_id: str, **parameters: str) -> Any:
    status, document = get(stack, event_id, **parameters)
    assert status == 200, document
    return document


def outcomes(document: Any) -> list[str]:
    (event,) = document["events"]
    return [copy["outcome"] for copy in event["copies"]]


def test_an_accepted_event_is_found_with_its_offset_its_file_and_its_windows(stack: Stack, sent: Sent) -> None:
    event_id = sent.ids["accepted"]
    document = find(stack, event_id.upper())
    assert (document["verdict"], document["unasked"], outcomes(document)) == ("accepted", [], ["counted"])
    (event,) = document["events"]
    (copy,) = event["copies"]
    sql = f"""SELECT kafka_partition, kafka_offset, "$path" FROM raw_events WHERE event_id = '{event_id}'"""
    assert stack.query("--sql", sql)[1:] == [[str(copy["partition"]), str(copy["offset"]), *copy["files"]]]
    (sample,) = event["samples"]
    assert datetime.fromisoformat(sample["effective_time"]) == sent.times["accepted"]
    minute = sample["windows"][0]
    assert (minute["resolution"], minute["state"]) == ("1m", "complete")
    # The same window, as query returns it.
    address = f"{stack['api']}/v1/fleets/{stack['fleet']}/rollups?" + urlencode(
        {"device": DEVICE, "resolution": "1m", "from": minute["window_start"], "to": sample["effective_time"]}
    )
    request = urllib.request.Request(address, headers={"x-api-key": stack["keys"]["reader"]})
    with urllib.request.urlopen(request, timeout=60) as answer:
        page = json.load(answer)
    assert {item["window_start"] for item in page["items"]} == {minute["window_start"]}
    assert [one["state"] for one in page["states"]] == ["complete"]


def test_the_same_bytes_again_are_a_duplicate_and_other_bytes_a_conflict(stack: Stack, sent: Sent) -> None:
    again, altered = find(stack, sent.ids["duplicate"]), find(stack, sent.ids["altered"])
    assert (outcomes(again), outcomes(altered)) == (["counted", "duplicate"], ["counted", "conflict"])
    for document in (again, altered):
        first, second = document["events"][0]["copies"]
        assert (second["repeats"]["partition"], second["repeats"]["offset"]) == (first["partition"], first["offset"])
    (sample,) = altered["events"][0]["samples"]
    assert datetime.fromisoformat(sample["effective_time"]) == sent.times["altered"]


def test_what_is_late_is_raw_only_and_what_is_ahead_counts_at_its_reception(stack: Stack, sent: Sent) -> None:
    late, ahead = find(stack, sent.ids["late"]), find(stack, sent.ids["ahead"])
    assert (outcomes(late), late["events"][0]["samples"]) == (["late"], [])
    assert late["events"][0]["copies"][0]["flags"] == ["late_arrival"]
    assert outcomes(ahead) == ["counted"]
    (copy,) = ahead["events"][0]["copies"]
    assert copy["flags"] == ["clock_ahead"]
    assert ahead["events"][0]["samples"][0]["effective_time"] == copy["received_at"]


def find_rejected(stack: Stack, sent: Sent) -> Any:
    """Find the rejected event, once its dead letter is stored."""
    deadline = time.monotonic() + 60
    while (document := find(stack, sent.ids["rejected"]))["verdict"] != "rejected":
        assert document["verdict"] == "never_received"
        assert time.monotonic() < deadline, "its dead letter is not stored"
        time.sleep(0.5)
    return document


def test_a_rejected_event_is_found_with_its_reason_and_its_letter(stack: Stack, sent: Sent) -> None:
    (event,) = find_rejected(stack, sent)["events"]
    (letter,) = event["dead_letters"]
    assert (letter["reason"], letter["consumer"], event["copies"]) == ("contract_violation", "ingest", [])
    assert "metrics." in letter["detail"]
    assert letter["files"][0].startswith(f"s3://{stack['buckets']['dead_letter']}/dead_letters/")
    sql = f"SELECT letter_id FROM dead_letters WHERE event_id = '{sent.ids['rejected'].upper()}'"
    assert stack.query("--sql", sql)[1:] == [[letter["letter_id"]]]


def test_an_operator_lists_counts_and_reads_the_dead_letter_of_a_rejected_event(stack: Stack, sent: Sent) -> None:
    def ask(*words: str) -> str:
        command = [sys.executable, "-m", "cli", "dead-letters", "--dir", str(stack.directory), *words]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    conditions = ("--fleet", stack["fleet"], "--device", DEVICE, "--reason", "contract_violation")
    (letter,) = find_rejected(stack, sent)["events"][0]["dead_letters"]
    listed = json.loads(ask(*conditions, "--json"))["items"]
    assert letter["letter_id"] in {item["letter_id"] for item in listed}
    (count,) = json.loads(ask(*conditions, "--by", "consumer", "--json"))["items"]
    assert (count["consumer"], count["letters"]) == ("ingest", len(listed))
    whole = ask(letter["letter_id"])
    assert "reason           contract_violation" in whole
    assert sent.ids["rejected"].upper() in whole.partition("the event as it was sent")[2]


def test_what_never_came_is_never_received_as_of_a_moment(stack: Stack, sent: Sent) -> None:
    began = datetime.now(UTC)
    document = find(stack, str(uuid.uuid4()), device_id=DEVICE)
    assert (document["verdict"], document["events"], document["unasked"]) == ("never_received", [], [])
    assert datetime.fromisoformat(document["as_of"]) >= began
    assert document["visible_after_seconds"] > 0
    other_days = {"from": "2026-01-01", "to": "2026-01-02"}
    assert find(stack, sent.ids["late"], **other_days)["verdict"] == "never_received"


def test_another_fleets_reader_does_not_see_it(stack: Stack, sent: Sent) -> None:
    create_fleet(stack, "trace-others")
    key = Admin.of(stack).create_key("trace-others", "reader")
    for kind, event_id in sent.ids.items():
        status, document = get(stack, event_id, key, device_id=DEVICE)
        assert (status, document["verdict"], document["events"]) == (200, "never_received", []), kind


def test_only_a_reader_key_is_accepted(stack: Stack, sent: Sent) -> None:
    assert get(stack, sent.ids["accepted"], stack["keys"]["device"])[0] == 403
    assert get(stack, "a\x00b")[1]["code"] == "invalid_event_id"


def test_an_operator_reads_the_story(stack: Stack, sent: Sent) -> None:
    def tell(*words: str) -> str:
        command = [sys.executable, "-m", "cli", "trace", "--dir", str(stack.directory), *words]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return ran.stdout + ran.stderr

    story = tell(sent.ids["duplicate"])
    for part in ("received as telemetry version 2", "accepted at raw-events/", "stored in file s3://", "byte for byte"):
        assert part in story
    assert "counted in window 1m" in story
    assert "late: raw only, in no number" in tell(sent.ids["late"], "--fleet", stack["fleet"], "--device", DEVICE)
    assert "never received (as of " in tell(str(uuid.uuid4()))
    assert "invalid_parameter" in tell(sent.ids["late"], "--from", "yesterday")


@contextmanager
def without_files(stack: Stack) -> Iterator[None]:
    """While Athena refuses everything."""

    def misbehave(**faults: bool) -> None:
        request = urllib.request.Request(f"{stack['athena']}/_model/faults", json.dumps(faults).encode(), method="POST")
        urllib.request.urlopen(request, timeout=10).close()

    misbehave(refuse=True)
    try:
        yield
    finally:
        misbehave()


def test_without_the_files_the_numbers_are_returned_and_without_either_there_is_a_problem(
    stack: Stack, sent: Sent
) -> None:
    with without_files(stack):
        document = find(stack, sent.ids["accepted"], device_id=DEVICE)
        assert (document["verdict"], outcomes(document)) == ("accepted", [])
        assert [one["source"] for one in document["unasked"]] == ["raw", "dead_letters"]
        assert len(document["events"][0]["samples"]) == 1
        status, problem = get(stack, sent.ids["accepted"])
        assert (status, problem["code"]) == (503, "trace_unavailable")


def test_probe_makes_its_keys_posts_an_event_and_reads_it_back(stack: Stack) -> None:
    probe = find_function(Target("", stack.directory), "probe")
    deadline = time.monotonic() + 60
    # Keys that were made a moment ago may not be known everywhere yet.
    while not (probed := probe({}))["accepted"]:
        assert time.monotonic() < deadline, probed
        time.sleep(1)
    assert (probed["readable"], probed["seconds"] < 60) == (True, True)
    lines = (stack.directory / "state" / "lambdas" / f"{stack['functions']['probe']}.log").read_text().splitlines()
    measured = [json.loads(line) for line in lines if "ProbeReadableSeconds" in line]
    assert [line["ProbeReadableSeconds"] for line in measured] == [[probed["seconds"]]]
    command = [sys.executable, "-m", "cli", "key", "list", "sluice-probe", "--dir", str(stack.directory), "--json"]
    listed = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)["items"]
    assert sorted(key["role"] for key in listed) == ["device", "reader"]
    stack.settle(("archive",))
    (event,) = tell_json(stack, probed["event_id"], "--fleet", "sluice-probe")["events"]
    assert [copy["correlation_id"] for copy in event["copies"]] == [f"probe-{probed['event_id']}"]


def tell_json(stack: Stack, *arguments: str) -> Any:
    command = [sys.executable, "-m", "cli", "trace", *arguments, "--json", "--dir", str(stack.directory)]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
