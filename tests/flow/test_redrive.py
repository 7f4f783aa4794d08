"""1,000 dead letters of one device bug: one group, explained, fixed by the proposal, re-driven, and accounted for."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import Producer

from cli.functions import find_function
from cli.stages import Target
from infra.stores.topics import CONSUMER_RECORD_AGE_SECONDS
from tests.flow.conftest import ROOT, Stack, create_fleet
from tests.flow.http import post
from tests.support.letters import put, rename, telemetry

FLEET, OTHER, EXPIRED = "misnamed", "stubborn", "expired"
EVENTS, BATCH = 1_000, 100
FIX = [{"verb": "rename", "path": "metrics.cpuTemp", "to": "metrics.cpu_temp"}]
BUG = rename("cpu_temp", "cpuTemp")
STILL_BAD = 25


def beyond_repair(document: dict[str, Any]) -> None:
    BUG(document)
    document["metrics"]["vibration_rms"] = "x"


def ask(stack: Stack, *arguments: str) -> Any:
    """Run a command of dead letters and return its JSON."""
    command = [sys.executable, "-m", "cli", "dead-letters", *arguments, "--dir", str(stack.directory), "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def send(stack: Stack, key: str, bodies: list[bytes]) -> None:
    """Post events, a hundred at a time; all are rejected."""

    def post_batch(start: int) -> None:
        batch = b"[" + b",".join(bodies[start : start + BATCH]) + b"]"
        status, _, document = post(stack, "/v1/events", batch, key)
        assert status == 400, document
        assert {one["status"] for one in document["results"]} == {"rejected"}

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(post_batch, range(0, len(bodies), BATCH)))


def wait_for(what: str, ask_again: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not ask_again():
        assert time.monotonic() < deadline, what
        time.sleep(1)


def group_of(stack: Stack, fleet: str) -> dict[str, Any]:
    """The only group of a fleet. The letters are read for some seconds, which a busy machine may not get through."""
    deadline = time.monotonic() + 180
    while not (found := ask(stack, "groups", "--fleet", fleet))["complete"]:
        assert time.monotonic() < deadline, found
    group: dict[str, Any]
    (group,) = found["items"]
    return group


@pytest.fixture(scope="module")
def planted(stack: Stack) -> dict[str, Any]:
    """A fleet whose firmware names a metric wrong; its letters are in S3."""
    key = create_fleet(stack, FLEET, events_per_second=100_000, rejects_per_second=100_000)
    sent_at = datetime.now(UTC)
    bad = [telemetry(EVENTS + number, beyond_repair, sent_at) for number in range(STILL_BAD)]
    send(stack, key, [telemetry(number, BUG, sent_at) for number in range(EVENTS - STILL_BAD)] + bad)
    stack.settle(readers=["deadletter"])
    return group_of(stack, FLEET)


def test_letters_of_a_bug_are_one_line(planted: dict[str, Any]) -> None:
    assert (planted["letters"], planted["state"], planted["reason"]) == (EVENTS, "open", "contract_violation")
    assert (planted["path"], planted["rule"], planted["consumer"]) == ("metrics.cpu_temp", "required", "ingest")
    assert len(planted["samples"]) == 3


def test_one_is_explained(stack: Stack, planted: dict[str, Any]) -> None:
    told = ask(stack, "explain", planted["samples"][0])
    assert (told["redrivable"], told["passes_now"], told["group_id"]) == (True, False, planted["group_id"])
    assert told["breaches"][0]["rule"] == "required"


def test_the_proposal_is_redriven_each_event_is_accounted_for_and_the_still_bad_are_counted(
    stack: Stack, planted: dict[str, Any]
) -> None:
    group = planted["group_id"]
    proposed = ask(stack, "propose", "--group", group)
    assert proposed["fix"][0] == FIX[0]
    assert proposed["share"] > 0.9
    done = ask(
        stack, "redrive", "--group", group, "--fix", "proposal", "--reason", "firmware 2.4 misnames", "--yes", "--watch"
    )
    assert done["state"] == "done"
    assert done["letters"] | {"accounted": 0} == {
        "sending": 0, "accepted": 0, "accounted": 0, "rejected": STILL_BAD, "incomplete": 0,
    }  # fmt: skip
    assert done["letters"]["accounted"] == EVENTS - STILL_BAD
    after = group_of(stack, FLEET)
    assert (after["accounted"], after["still_bad"], after["in_flight"]) == (EVENTS - STILL_BAD, STILL_BAD, 0)
    check_statement(stack, FLEET, EVENTS - STILL_BAD, EVENTS)
    rows = [row for row in stack.stores.rows() if row.event.fleet_id == FLEET]
    assert len(rows) == EVENTS - STILL_BAD
    assert all("redriven" in row.event.flags for row in rows)
    # Until their attempts are used up, the still bad keep the group open.
    again = ask(stack, "redrive", "--group", group, "--reason", "another attempt", "--yes", "--watch")
    assert (again["state"], again["letters"]["rejected"]) == ("done", STILL_BAD)
    last = group_of(stack, FLEET)
    assert (last["state"], last["exhausted"], last["accounted"]) == ("open", 0, EVENTS - STILL_BAD)


def check_statement(stack: Stack, fleet: str, accepted: int, rejected: int) -> None:
    """The ledger balances: what was re-driven is accepted, archived and counted, and the rejections stay rejections."""
    reconcile = find_function(Target("", stack.directory), "reconcile")
    found: dict[str, Any] = {}

    def balances() -> bool:
        statement = reconcile({"statement": datetime.now(UTC).date().isoformat()})
        found.update(next(one for one in statement["fleets"] if one["fleet_id"] == fleet))
        return bool(found["state"] == "balanced")

    wait_for("the statement balances", balances)
    assert (found["accepted"], found["rejected"]) == (accepted, rejected)
    assert found["archive"]["archived"] == accepted
    assert found["aggregate"]["counted"] == accepted
    assert found["archive"]["dead_lettered"] == found["aggregate"]["dead_lettered"] == 0


def test_who_did_what_is_in_the_audit(stack: Stack, planted: dict[str, Any]) -> None:
    command = [sys.executable, "-m", "cli", "audit", "list", "--dir", str(stack.directory), "--json"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    actions = [line for line in ("redrive.apply", "redrive.end") if line in listed]
    assert actions == ["redrive.apply", "redrive.end"]
    assert planted["group_id"] in listed


def test_a_group_of_another_bug_of_the_same_time_stays_open(stack: Stack) -> None:
    key = create_fleet(stack, OTHER)
    send(stack, key, [telemetry(number, put("humidity", "wet"), datetime.now(UTC)) for number in range(10)])
    stack.settle(readers=["deadletter"])
    group = group_of(stack, OTHER)
    assert (group["letters"], group["path"], group["state"]) == (10, "metrics.humidity", "open")
    whole_day = ("--from", (datetime.now(UTC) - timedelta(hours=1)).isoformat())
    dry = ask(stack, "redrive", "--group", group["group_id"], *whole_day, "--reason", "see", "--dry-run")
    assert (dry["dry_run"], dry["passed"], dry["tried"]) == (True, 0, 10)


def store_expired(stack: Stack, events: int) -> None:
    """Store events as ingest does, but with old timestamps, as if unread since: both consumers give them up."""
    sent_at = datetime.now(UTC)
    header = json.dumps([1, sent_at.isoformat(), EXPIRED, "telemetry", 2, [], "c"]).encode()
    producer = Producer({"bootstrap.servers": stack["broker"], "acks": "all"})
    for number in range(events):
        producer.produce(
            "raw-events",
            key=b"press-1",
            value=telemetry(number, lambda _: None, sent_at),
            headers=[("sluice", header)],
            partition=number % 3,
            timestamp=int((time.time() - CONSUMER_RECORD_AGE_SECONDS - 3600) * 1000),
        )
    assert producer.flush(30) == 0


def test_letters_of_a_consumer_go_to_that_consumer_alone_and_the_ledger_balances(stack: Stack) -> None:
    events = 60
    create_fleet(stack, EXPIRED)
    store_expired(stack, events)
    groups: dict[str, dict[str, Any]] = {}

    def are_given_up() -> bool:
        found = ask(stack, "groups", "--fleet", EXPIRED)["items"]
        # detect gives them up too: what it did not judge then is not judged later.
        groups.update({group["consumer"]: group for group in found if group["consumer"] != "detect"})
        return {name: group["letters"] for name, group in groups.items()} == {"archive": events, "aggregate": events}

    wait_for("both consumers have given the events up", are_given_up)
    dry = ask(stack, "redrive", "--group", groups["archive"]["group_id"], "--reason", "see", "--dry-run")
    assert (dry["consumer"], dry["fix"], dry["passed"]) == ("archive", [], events)
    for consumer, group in groups.items():
        done = ask(stack, "redrive", "--group", group["group_id"], "--reason", "it is back", "--yes", "--watch")
        assert (done["state"], done["consumer"], done["letters"]["accounted"]) == ("done", consumer, events)
    after = {group["consumer"]: group for group in ask(stack, "groups", "--fleet", EXPIRED)["items"]}
    assert {name: (after[name]["state"], after[name]["letters"]) for name in groups} == dict.fromkeys(
        groups, ("closed", events)
    )
    check_statement(stack, EXPIRED, events, 0)
    rows = [row for row in stack.stores.rows() if row.event.fleet_id == EXPIRED]
    assert len({(row.event.kafka_partition, row.event.kafka_offset) for row in rows}) == events
