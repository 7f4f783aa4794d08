"""The ledger on a whole stack: the statement balances, and what is lost is named."""

import asyncio
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
import psycopg
import pytest

from cli.simulation.client import Ledger, post_all
from cli.simulation.devices import Sent
from local.admin import Admin
from tests.faults.conftest import wait_until
from tests.flow.conftest import ROOT, Stack, create_fleet
from tests.support.stream import mixed

FLEET = "ledger"
# The lock that a run of reconcile takes: while another session holds it, no run starts.
LOCK = "SELECT pg_try_advisory_lock(hashtextextended('reconcile', 0))"
UNLOCK = "SELECT pg_advisory_unlock(hashtextextended('reconcile', 0))"


REJECTED: set[str] = set()
"""The fleet's rejected events so far, over all tests."""


@pytest.fixture(scope="module")
def key(stack: Stack) -> str:
    """A key of a fleet that only these tests use."""
    return create_fleet(stack, FLEET, events_per_second=100_000, rejects_per_second=1000)


def test_mixed_traffic_balances_and_its_totals_are_those_of_the_client(stack: Stack, key: str) -> None:
    ledger = post(stack, key, list(mixed(seed=81, count=1500)))
    account = settle(stack, balanced)
    accepted, unknown = sum(ledger.accepted.values()), sum(ledger.unknown.values())
    # An attempt without an answer may have stored its event.
    assert accepted <= account["accepted"] <= accepted + unknown
    assert account["archive"] == {"archived": account["accepted"], "dead_lettered": 0, "not_yet": 0}
    assert sum(account["aggregate"].values()) == account["accepted"]
    assert account["aggregate"]["late"] > 0
    assert account["aggregate"]["duplicate"] > 0
    assert account["rejected"] > 0
    for position in invoke(stack, {"statement": today()})["positions"]:
        assert position["accepted"] == sum(position[name] for name in ("covered", "in_flight", "under_way", "missing"))
        assert position["missing"] == 0
    # The fleet itself reads the same, and an operator reads it as text.
    assert read_as_fleet(stack)["account"] == account
    text = command(stack, "statement")
    assert f"{FLEET} " in text
    assert "balanced: every event is accounted for" in text


@pytest.mark.shows_fault(
    part="consumer",
    fault="answers null without having done its work",
    expected="Lambda takes that for success; reconcile finds the gap in the offsets and runs it again",
)
@pytest.mark.shows_loss_path(
    fails="a handler answers success without having done its work",
    section="Between Kafka and the stores",
    event_is="raw or numbers lack it; Kafka has it for six hours",
    told="`reconcile-unaccounted`, `reconcile-newly-missing`",
    comes_back="reconcile finds the hole and runs it again",
)
def test_a_file_that_is_lost_before_it_was_counted_is_missing_by_name_and_stored_again(stack: Stack, key: str) -> None:
    before = settle(stack, balanced)["accepted"]
    batches = list(mixed(seed=84, count=150))
    with psycopg.connect(stack["database"], autocommit=True) as keeper:
        wait_until("no run is at work", lambda: keeper.execute(LOCK).fetchone() == (True,))
        known = files(stack)
        accepted = sum(post(stack, key, batches).accepted.values())
        stack.settle()
        for name in files(stack) - known:
            store(stack).delete_object(Bucket=stack["buckets"]["raw"], Key=name)
        keeper.execute(UNLOCK)
    seen: list[dict[str, Any]] = []

    def is_missing() -> bool:
        seen.extend(invoke(stack, {"statement": today()})["missing"])
        return bool(seen)

    wait_until("what is lost is missing", is_missing)
    assert {(one["consumer"], one["fleet_id"], one["in_kafka"]) for one in seen} == {("archive", FLEET, True)}
    ids = {json.loads(sent.body).get("event_id", "").lower() for batch in batches for sent in batch}
    assert {one["event_id"] for one in seen} & ids
    after = settle(stack, lambda account: account["accepted"] == before + accepted and balanced(account))
    assert after["archive"]["archived"] == before + accepted


def test_a_consumer_that_is_run_again_by_hand_counts_nothing_twice(stack: Stack, key: str) -> None:
    assert key
    before = settle(stack, balanced)
    text = command(stack, "rerun", "aggregate", "0", "0", "1000000")
    assert "records of partition 0 again" in text
    assert settle(stack, balanced) == before


def balanced(account: dict[str, Any]) -> bool:
    """Whether nothing is under way or missing; letters of rejected events take another path."""
    return bool(account["state"] == "balanced" and account["rejected"] == len(REJECTED))


def post(stack: Stack, key: str, batches: list[list[Sent]]) -> Ledger:
    """Post until every event has its answer, and wait until all are read."""
    ledger = asyncio.run(post_all(stack["api"], key, batches, until_settled=True))
    REJECTED.update(ledger.rejected)
    stack.settle()
    return ledger


def settle(stack: Stack, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait until nothing is in flight and the fleet's account of the day is as expected."""
    found: list[dict[str, Any]] = [{"state": "none", "accepted": 0}]

    def look() -> bool:
        statement = invoke(stack, {"statement": today()})
        found.extend(one for one in statement["fleets"] if one["fleet_id"] == FLEET)
        return true(found[-1])

    try:
        wait_until("the account is settled", look, seconds=120)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{command(stack, 'statement')}") from error
    return found[-1]


def invoke(stack: Stack, payload: dict[str, Any]) -> Any:
    """Ask reconcile."""
    url = f"{stack['lambdas']}/2015-03-31/functions/{stack['functions']['reconcile']}/invocations"
    for _ in range(60):
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, json.dumps(payload).encode()), timeout=120
            ) as answer:
                said = json.load(answer)
                assert "X-Amz-Function-Error" not in answer.headers, said
                return said
        except urllib.error.HTTPError as error:
            error.close()
            # Two may run at a time, and on a busy machine two scheduled runs do.
            if error.code != 429:
                raise
            time.sleep(1)
    raise AssertionError("reconcile was busy for a minute")


def command(stack: Stack, name: str, *arguments: str) -> str:
    """Run an operator's command."""
    run = [sys.executable, "-m", "cli", name, *arguments, "--dir", str(stack.directory)]
    ran = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def read_as_fleet(stack: Stack) -> Any:
    """Read the statement as the fleet's own readers do."""
    reader = Admin.of(stack).create_key(FLEET, "reader")
    request = urllib.request.Request(f"{stack['api']}/v1/statement?day={today()}", headers={"x-api-key": reader})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def today() -> str:
    """The day, in UTC."""
    return datetime.now(UTC).date().isoformat()


def store(stack: Stack) -> Any:
    """The buckets."""
    login = {"aws_access_key_id": stack["admin"]["access_key"], "aws_secret_access_key": stack["admin"]["secret_key"]}
    return boto3.client("s3", stack["region"], endpoint_url=stack["aws"], **login)


def files(stack: Stack) -> set[str]:
    """The names of raw's files."""
    pages = store(stack).get_paginator("list_objects_v2").paginate(Bucket=stack["buckets"]["raw"], Prefix="raw/")
    return {each["Key"] for page in pages for each in page.get("Contents", ())}
