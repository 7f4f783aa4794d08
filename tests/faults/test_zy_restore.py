"""A database that is lost and restored to an earlier moment: what came since is found, caught up, or named.

It runs when the other tests of faults have run: it sets their tables back, too.
"""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from local.admin import Admin
from local.models.aws_client import aws_client
from tests.faults.backup import Backup, set_back
from tests.faults.conftest import Injector, check, post_settled, wait_until
from tests.flow.conftest import ROOT, Stack, create_fleet
from tests.flow.http import post
from tests.support import samples
from tests.support.letters import put, rename, telemetry
from tests.support.stream import mixed

FLEET, DEVICE = "restored", "press-1"
EVENT = samples.read_bytes("telemetry-v1.json")
BUG = rename("cpu_temp", "cpuTemp")


def run(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", *arguments, "--dir", str(stack.directory)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def sluice(stack: Stack, *arguments: str, fails: bool = False) -> Any:
    ran = run(stack, *arguments, "--json")
    assert (ran.returncode != 0) == fails, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def status_with(stack: Stack, key: str) -> tuple[int, str | None]:
    status, _, body = post(stack, "/v1/events", EVENT, key)
    return status, body.get("code")


def incident_messages(stack: Stack) -> list[str]:
    """What people read, the oldest first."""
    with urllib.request.urlopen(f"{stack['receivers']}/received") as answer:
        received = json.load(answer)["received"]
    texts = [each["body"]["text"] for each in received if each["path"] == "/slack/restored"]
    return [text for text in texts if f"cpu_temp of {DEVICE}" in text]


def heat_until(stack: Stack, key: str, degrees: float, numbers: Iterator[int], holds: Callable[[], Any]) -> None:
    """Let the device send a reading a second until something holds."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        reading = telemetry(next(numbers) * 40 + 1, put("cpu_temp", degrees), datetime.now(UTC))
        assert post(stack, "/v1/events", reading, key)[0] == 202
        time.sleep(1)


def account_of(injector: Injector) -> dict[str, Any]:
    """The fleet's account of the day."""
    found = injector.invoke("reconcile", {"statement": str(datetime.now(UTC).date())})["fleets"]
    return next((dict(one) for one in found if one["fleet_id"] == FLEET), {"state": "none"})


def find_group(stack: Stack, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    found = sluice(stack, "dead-letters", "groups", "--fleet", FLEET)["items"]
    return next(each for each in found if is_it(each))


def find_incidents(stack: Stack) -> dict[str, str]:
    """The fleet's incidents by their ids, with their rules."""
    with psycopg.connect(stack["database"]) as connection:
        return dict(connection.execute("SELECT incident_id, rule_id FROM incident WHERE fleet_id = %s", [FLEET]))


def watch(stack: Stack) -> None:
    """Name a rule, and whom it wakes."""
    hot = f"rules create {FLEET} hot --kind above --metric cpu_temp --open 80 --clear 75 --device {DEVICE}"
    sluice(stack, *hot.split())
    secret = f"sluice-{stack['stage']}-destinations/restored"
    address = json.dumps({"url": f"{stack['receivers']}/slack/restored"})
    aws_client("secretsmanager", stack["aws"], stack["region"]).create_secret(Name=secret, SecretString=address)
    sluice(stack, "destinations", "create", FLEET, "--kind", "slack", "--secret", secret, "--fleet", FLEET)


def put_back(stack: Stack, export: Path) -> None:
    """Put the entries of the audit back that the database lacks, as the runbook says."""
    lines = [line.partition(" ") for line in export.read_text().splitlines()]
    entries = [(json.loads(text)["number"], text, digest) for digest, _, text in lines]
    with psycopg.connect(stack["database"]) as connection:
        connection.cursor().executemany(
            "INSERT INTO audit (number, entry, hash) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", entries
        )


@pytest.mark.shows_fault(
    part="PostgreSQL",
    fault="lost, and restored to an earlier moment",
    expected="events are counted again; revoked keys stay refused; no one is notified twice; the rest is named",
)
@pytest.mark.shows_loss_path(
    fails="the whole database is lost, and restored to an earlier moment",
    section="In the stores",
    event_is="in raw; in Kafka for six hours",
    told="`database-silent`; then `checkpoint-altered`, `publish-errors`, `reconcile-unaccounted`",
    comes_back="reconcile runs again what came since; `sluice restored` names what admins did since",
)
def test_a_database_that_is_lost_and_restored_catches_up_and_what_admins_did_since_is_named(
    stack: Stack, injector: Injector, earlier: set[str], tmp_path: Path
) -> None:
    admin = Admin.of(stack)
    key = create_fleet(stack, FLEET, events_per_second=100_000, rejects_per_second=100_000)
    revoked = admin.create_key(FLEET, "device")
    numbers = iter(range(50_000, 60_000))
    watch(stack)
    ledger = post_settled(stack, mixed(seed=96, count=600), key)
    refused = [telemetry(70_000 + number, BUG, datetime.now(UTC)) for number in range(20)]
    assert post(stack, "/v1/events", b"[" + b",".join(refused) + b"]", key)[0] == 400
    stack.settle(readers=["deadletter"])
    group = find_group(stack, lambda each: each["letters"] == 20)

    backup, taken_at = Backup.take(stack, injector), datetime.now(UTC)

    # What the backup does not have: events, a re-drive, an incident that people know of, and what admins did.
    since = post_settled(stack, mixed(seed=97, count=600), key)
    redrive = ("dead-letters", "redrive", "--group", group["group_id"], "--fix", "proposal", "--reason", "a test")
    first = sluice(stack, *redrive, "--yes")["redrive_id"]
    admin.revoke_key(FLEET, revoked)
    made = admin.create_key(FLEET, "device")
    assert (status_with(stack, made)[0], status_with(stack, revoked)) == (202, (401, "revoked_key"))
    heat_until(stack, key, 91.0, numbers, lambda: incident_messages(stack))
    assert sluice(stack, "dead-letters", "redrives", first, "--watch")["state"] == "done"
    incidents = find_incidents(stack)
    assert "hot" in incidents.values()
    assert injector.invoke("checkpoint", {})["unsigned"] == 0
    export = tmp_path / "audit.txt"
    sluice(stack, "audit", "export", str(export))

    with injector.disabled("alert"):
        wait_until("the account is balanced", lambda: account_of(injector)["state"] == "balanced", seconds=120)
        whole, restored_at = account_of(injector), time.time()
        backup.restore()
        assert "hot" not in find_incidents(stack).values()
        # Without a hand, although aggregate had committed all of it.
        wait_until("events are counted again", lambda: account_of(injector) == whole, seconds=120)
        # Verdicts must be taken in from the backup on: those that come later would pass over the others.
        began = set_back(stack, stack["consumers"]["alert"], "alert-events", taken_at - timedelta(seconds=5))
    assert any(offset >= 0 for offset in began.values())
    wait_until("the same incidents are there again", lambda: find_incidents(stack) == incidents)
    assert status_with(stack, made)[0] == 202
    assert status_with(stack, revoked) == (401, "revoked_key")

    # What is left to people is named.
    found = sluice(stack, "restored", fails=True)
    ids = [each.split("_")[2] for each in (made, revoked)]
    assert sorted(found["control"].pop("keys")) == sorted(
        [f"{FLEET}/{ids[0]} (it has no row)", f"{FLEET}/{ids[1]} (it would work again)"]
    )
    assert (found["control"], found["events"][1]["missing"]) == ({"rules": [], "destinations": []}, 0)
    assert "it is missing" in found["audit"]
    assert {"checkpoint-altered", "reconcile-unaccounted"} <= injector.alarms(since=restored_at)
    with pytest.raises(AssertionError, match="lacks 2 published keys"):
        injector.invoke("publish", {})
    # A deployment succeeds all the same: without one, functions cannot log in at an instance that was restored.
    assert "lacks 2 published keys" in injector.invoke("migrate", {})["unpublished"]

    put_back(stack, export)
    with pytest.raises(urllib.error.HTTPError, match="503"):
        admin.revoke_key(FLEET, revoked)  # not published yet: another key is lost
    aws_client("s3", stack["aws"], stack["region"]).delete_object(
        Bucket=stack["buckets"]["control"], Key="published/keys.json"
    )
    wait_until("the lost key is refused", lambda: status_with(stack, made) == (401, "unknown_key"))
    assert status_with(stack, revoked) == (401, "revoked_key")
    wait_until("nothing is lacking", lambda: run(stack, "restored").returncode == 0)
    # A re-drive is forgotten: its group is open again. Who sends it again makes copies, which count as duplicates.
    assert find_group(stack, lambda each: each["group_id"] == group["group_id"])["state"] == "open"
    heat_until(stack, key, 50.0, numbers, lambda: len(incident_messages(stack)) > 1)
    assert [text.split()[0] for text in incident_messages(stack)] == ["🟠", "✅"]
    earlier |= ledger.accepted.keys() | ledger.rejected | ledger.no_events | stack.stores.contents()
    check(stack, since, earlier)
    injector.invoke("publish", {})
