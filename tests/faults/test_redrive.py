"""A re-drive whose workers are killed while it sends: each event is stored, one of its copies counts, and it ends."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from cli.functions import find_function
from cli.stages import Target
from tests.faults.conftest import Injector, wait_until
from tests.flow.conftest import ROOT, Stack, create_fleet
from tests.flow.http import post
from tests.support.letters import rename, telemetry

FLEET, EVENTS, BATCH = "redriven", 3000, 100
BUG = rename("cpu_temp", "cpuTemp")


def sluice(stack: Stack, *arguments: str) -> Any:
    command = [sys.executable, "-m", "cli", "dead-letters", *arguments, "--dir", str(stack.directory), "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def account_of(stack: Stack) -> dict[str, Any]:
    """The fleet's account of the day."""
    statement = find_function(Target("", stack.directory), "reconcile")({"statement": str(datetime.now(UTC).date())})
    accounts: list[dict[str, Any]] = statement["fleets"]
    return next(one for one in accounts if one["fleet_id"] == FLEET)


@pytest.mark.shows_fault(part="redrive", fault="killed at any statement")
def test_a_redrive_whose_workers_are_killed_again_and_again_stores_and_counts_each_event(
    stack: Stack, injector: Injector
) -> None:
    key = create_fleet(stack, FLEET, events_per_second=100_000, rejects_per_second=100_000)
    sent_at = datetime.now(UTC)
    bodies = [telemetry(number, BUG, sent_at) for number in range(EVENTS)]

    def post_batch(start: int) -> int:
        return post(stack, "/v1/events", b"[" + b",".join(bodies[start : start + BATCH]) + b"]", key)[0]

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(post_batch, range(0, EVENTS, BATCH))) == {400}
    stack.settle(readers=["deadletter"])
    (group,) = sluice(stack, "groups", "--fleet", FLEET)["items"]
    assert group["letters"] == EVENTS
    begun = sluice(stack, "redrive", "--group", group["group_id"], "--fix", "proposal", "--reason", "a test", "--yes")
    with injector.killing_workers("redrive", 1.0, seed=95) as killed:
        wait_until("workers were killed", lambda: len(killed) >= 4, 90)
    ended = sluice(stack, "redrives", begun["redrive_id"], "--watch")
    assert (ended["state"], ended["letters"]["accounted"], ended["letters"]["rejected"]) == ("done", EVENTS, 0)
    rows = [row.event for row in stack.stores.rows() if row.event.fleet_id == FLEET]
    assert {row.event_id for row in rows} == {json.loads(body)["event_id"] for body in bodies}
    wait_until("the day balances", lambda: account_of(stack)["state"] == "balanced", 120)
    account = account_of(stack)
    # A run that died between producing and noting it left copies: archived, and not counted twice.
    assert account["aggregate"]["counted"] == EVENTS
    assert (
        account["accepted"]
        == account["archive"]["archived"]
        == len({(r.kafka_partition, r.kafka_offset) for r in rows})
    )
    (closed,) = sluice(stack, "groups", "--fleet", FLEET)["items"]
    assert closed["state"] == "closed"
