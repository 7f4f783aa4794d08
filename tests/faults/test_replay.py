"""Replays under faults: the numbers end as if nothing had happened, or as they were."""

import json
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cli.simulation.client import Ledger
from local.models.aws_client import aws_client
from tests.faults.conftest import Injector, check, post_during, post_settled, wait_until
from tests.flow.conftest import ROOT, Stack, create_fleet
from tests.support.stream import load, mixed

# A bug that reads values wrong, as it would have left the numbers: wrong samples, and windows computed from them.
SPOIL = """
    WITH spoiled AS (
        UPDATE sample SET readings = ARRAY(SELECT reading * 1.8 + 32 FROM unnest(readings) AS reading)
        FROM entity WHERE entity.entity_key = sample.entity_key AND fleet_id = 'mended' AND effective_time < %s
            AND get_byte(uuid_send(event_key), 15) < 128
        RETURNING sample.entity_key, sample.shard, date_trunc('minute', effective_time, 'UTC') AS minute
    )
    INSERT INTO dirty (resolution, shard, window_start, entity_key)
    SELECT DISTINCT '1m', shard, minute, entity_key FROM spoiled
    UNION
    SELECT DISTINCT '1m', fleet.shard, minute, fleet.entity_key
    FROM spoiled CROSS JOIN entity AS fleet WHERE fleet.fleet_id = 'mended' AND fleet.device_id IS NULL
"""

FLEET = "mended"
"""Of these tests alone: raw has every event of it, whatever other tests lose."""


def sluice(stack: Stack, *arguments: str, fails: bool = False) -> Any:
    """Run a command as an admin would, and return its JSON; or its complaint."""
    command = [sys.executable, "-m", "cli", "replay", *arguments, "--dir", str(stack.directory), "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert (ran.returncode != 0) == fails, ran.stdout + ran.stderr
    return ran.stderr if fails else json.loads(ran.stdout)


def make_plan(stack: Stack, out: Path, *more: str) -> Any:
    """Plan the fleet's last hours."""
    now = datetime.now(UTC)
    since, until = (now - timedelta(hours=2)).isoformat(), now.isoformat()
    return sluice(stack, "plan", "--fleet", FLEET, "--from", since, "--to", until, "--out", str(out), *more)


def spoil(stack: Stack) -> int:
    with psycopg.connect(stack["database"]) as connection:
        return connection.execute(SPOIL, [datetime.now(UTC)]).rowcount


def numbers(stack: Stack, until: datetime) -> list[Any]:
    """The fleet's rollups of windows that had ended by a moment, as they are stored."""
    with psycopg.connect(stack["database"], options="-c timezone=UTC") as connection:
        query = "SELECT * FROM rollups WHERE fleet_id = %s AND resolution = '1m' AND window_start < %s ORDER BY 2, 3, 6"
        return connection.execute(query, [FLEET, until]).fetchall()


def state(stack: Stack, replay: str) -> str:
    return str(sluice(stack, "show", replay)["state"])


@pytest.fixture(scope="module")
def key(stack: Stack) -> str:
    return create_fleet(stack, FLEET, events_per_second=100_000, rejects_per_second=1000)


@pytest.fixture
def counted(stack: Stack, key: str, earlier: set[str]) -> Ledger:
    """Events that are counted and in raw: good ones, late ones, copies, and clocks that are wrong."""
    ledger = post_settled(stack, mixed(seed=91, count=1500), key)
    earlier |= ledger.accepted.keys() | ledger.rejected | ledger.no_events
    stack.settle_numbers()
    return ledger


@pytest.mark.shows_fault(part="replay", fault="twice, killed, cancelled, still poison", expected="the same result")
@pytest.mark.usefixtures("counted")
def test_a_replay_whose_workers_are_killed_in_every_step_mends_what_a_bug_counted_while_devices_post(
    stack: Stack, injector: Injector, key: str, earlier: set[str], tmp_path: Path
) -> None:
    assert spoil(stack) > 100
    plan = tmp_path / "plan.json"
    made = make_plan(stack, plan)
    thread, ledgers = post_during(stack, load(92, count=3000, seconds=15), key)
    with ExitStack() as killing:
        # As often as a worker has a chance to start and to do something.
        killed = [killing.enter_context(injector.killing_workers(verb, 2.5, seed=93)) for verb in ("resend", "recount")]
        applied = sluice(stack, "apply", str(plan), "--yes")
        # It makes plans too, and an admin waits for those.
        killed.append(killing.enter_context(injector.killing_workers("replay", 4, seed=94)))
        wait_until("workers of every step were killed", lambda: all(killed) and sum(map(len, killed)) >= 5, 90)
    ended = sluice(stack, "watch", applied["replay_id"])
    assert ended["state"] == "done"
    assert ended["counts"]["added"] > 100
    thread.join()
    (ledger,) = ledgers
    check(stack, ledger, earlier)
    # A second time, and another plan for the same hours: nothing is left to change.
    assert sluice(stack, "apply", str(plan), "--yes")["already_applied"]
    assert made["hash"].startswith(applied["replay_id"].removeprefix("replay-"))
    make_plan(stack, plan)
    again = sluice(stack, "watch", sluice(stack, "apply", str(plan), "--yes")["replay_id"])
    assert (again["counts"]["added"], again["counts"]["removed"]) == (0, 0)


@pytest.mark.usefixtures("counted")
def test_a_replay_that_is_cancelled_or_stopped_before_its_swap_leaves_every_number_and_can_be_applied_again(
    stack: Stack, injector: Injector, earlier: set[str], tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    make_plan(stack, plan)
    until = datetime.now(UTC) - timedelta(minutes=4)
    before = numbers(stack, until)
    with injector.holding_workers("recount"):
        replay = sluice(stack, "apply", str(plan), "--yes")["replay_id"]
        wait_until("it waits for recount", lambda: state(stack, replay) == "draining", 60)
        sluice(stack, "cancel", replay, "--reason", "a test")
        wait_until("it is cancelled", lambda: state(stack, replay) == "cancelled", 60)
        assert sluice(stack, "cancel", replay, "--reason", "again", fails=True).count("ended already") == 1
        # Stopped from outside, without a word to anyone.
        resumed = sluice(stack, "resume", replay)
        wait_until("it waits for recount again", lambda: state(stack, replay) == "draining", 60)
        states = aws_client("stepfunctions", stack["aws"], stack["region"])
        states.stop_execution(executionArn=resumed["execution"])
        wait_until("it is swept", lambda: state(stack, replay) == "cancelled", 60)
    assert numbers(stack, until) == before
    with psycopg.connect(stack["database"]) as connection:
        assert connection.execute("SELECT count(*) FROM generation").fetchone() == (0,)
    sluice(stack, "resume", replay)
    assert sluice(stack, "watch", replay)["state"] == "done"
    assert numbers(stack, until) == before
    check(stack, Ledger(), earlier)
