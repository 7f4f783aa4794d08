"""What cannot be replayed is refused by name, before anything is produced."""

import json
import subprocess
import sys
import time
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest

from local.admin import Admin
from tests.flow.conftest import ROOT, Stack, create_fleet
from tests.flow.http import post
from tests.support import samples
from tests.support.stores import end_offsets

NOW = datetime.now(UTC)


def refuse(stack: Stack, *arguments: str) -> str:
    """Run a command that the stage refuses, and return its complaint."""
    command = [sys.executable, "-m", "cli", "replay", *arguments, "--dir", str(stack.directory), "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert not ran.stdout
    return ran.stderr


def hours_ago(hours: float) -> str:
    return (NOW - timedelta(hours=hours)).isoformat()


@pytest.fixture(scope="module")
def fleet(stack: Stack) -> str:
    """A fleet with one counted event."""
    key = create_fleet(stack, "replayed")
    event = samples.read("telemetry-v1.json") | {"timestamp": (datetime.now(UTC) - timedelta(minutes=5)).isoformat()}
    assert post(stack, "/v1/events", samples.encode(event), key)[0] == 202
    stack.settle_numbers()
    return "replayed"


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (("--fleet", "nobody", "--from", hours_ago(2), "--to", hours_ago(1)), "There is no fleet 'nobody'"),
        (("--from", hours_ago(1), "--to", hours_ago(2)), "must end after it begins"),
        (("--from", hours_ago(-2), "--to", hours_ago(-3)), "begins after now"),
        (("--from", hours_ago(24 * 40), "--to", hours_ago(1)), "at most 744 hours"),
        (("--from", hours_ago(24 * 100), "--to", hours_ago(24 * 99)), "raw keeps events for 90 days"),
        (("--from", hours_ago(2), "--to", hours_ago(0), "--device", "press-none"), "has no device 'press-none'"),
        (("--from", "yesterday", "--to", hours_ago(0)), "is no time"),
        (("--from", "2026-11-30T10:00:00", "--to", hours_ago(0)), "names no zone"),
    ],
)
def test_a_range_that_cannot_be_replayed_is_refused_in_words(
    stack: Stack, fleet: str, tmp_path: Path, more: tuple[str, ...], complaint: str
) -> None:
    whose = () if "--fleet" in more else ("--fleet", fleet)
    assert complaint in refuse(stack, "plan", *whose, *more, "--out", str(tmp_path / "plan.json"))


def test_a_range_without_an_event_is_refused(stack: Stack, tmp_path: Path) -> None:
    create_fleet(stack, "silent")
    wanted = ("--fleet", "silent", "--from", hours_ago(2), "--to", hours_ago(0), "--out", str(tmp_path / "plan.json"))
    assert "raw holds no event" in refuse(stack, "plan", *wanted)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"fleet_id": "demo"}, "was changed since it was made"),
        ({"stage": "elsewhere"}, "was changed since it was made"),
        ({"colour": "red"}, "no plan that this release can read"),
    ],
)
def test_a_plan_that_was_changed_by_hand_is_refused_and_nothing_is_produced(
    stack: Stack, fleet: str, tmp_path: Path, changes: dict[str, str], complaint: str
) -> None:
    file = tmp_path / "plan.json"
    command = [sys.executable, "-m", "cli", "replay", "plan", "--fleet", fleet, "--from", hours_ago(2)]
    command += ["--to", datetime.now(UTC).isoformat(), "--out", str(file), "--dir", str(stack.directory)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60)
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    before = end_offsets(stack["broker"], "replay-events")
    assert complaint in refuse(stack, "apply", str(file), "--yes")
    assert "There is no replay" in refuse(stack, "show", "replay-0123456789abcdef")
    assert end_offsets(stack["broker"], "replay-events") == before


def run(stack: Stack, *arguments: str) -> Any:
    command = [sys.executable, "-m", "cli", "replay", *arguments, "--dir", str(stack.directory), "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def test_late_events_of_a_day_whose_minutes_are_in_files_are_counted_there(stack: Stack, tmp_path: Path) -> None:
    key, reader = create_fleet(stack, "moved"), Admin.of(stack).create_key("moved", "reader")
    midnight = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    start = midnight - timedelta(days=3) + timedelta(hours=10)
    event = samples.read("telemetry-v1.json")
    late = [
        event
        | {"event_id": str(uuid.uuid4()), "timestamp": (start + number * timedelta(seconds=20)).isoformat()}
        | {"metrics": event["metrics"] | {"cpu_temp": 40.0 + number}}
        for number in range(30)
    ]
    status, _, answer = post(stack, "/v1/events", samples.encode(late), key)
    assert status == 202, answer
    stack.settle()
    with psycopg.connect(stack["database"], autocommit=True) as owner:
        # As tier and maintain leave them: files begin where the database ends.
        owner.execute(
            "UPDATE horizon SET floor = greatest(floor, %s) WHERE store IN ('sample', 'rollup_1m')",
            [midnight - timedelta(days=1)],
        )
        deadline = time.monotonic() + 90
        while not owner.execute("SELECT true FROM late_object WHERE fleet_id = 'moved'").fetchone():
            assert time.monotonic() < deadline, "reconcile does not count the file"
            time.sleep(0.5)

        def read() -> list[tuple[str, int, float]]:
            between = {"from": start.isoformat(), "to": (start + timedelta(hours=1)).isoformat()}
            asked = urlencode(between | {"device": event["device_id"], "metric": "cpu_temp", "resolution": "1m"})
            address = f"{stack['api']}/v1/fleets/moved/rollups?{asked}"
            request = urllib.request.Request(address, headers={"x-api-key": reader})
            with urllib.request.urlopen(request, timeout=60) as answer:
                return [(one["window_start"], one["count"], one["max"]) for one in json.load(answer)["items"]]

        wanted = ("--fleet", "moved", "--from", start.isoformat(), "--to", (start + timedelta(hours=1)).isoformat())
        assert "add --reprocess" in refuse(stack, "plan", *wanted, "--include-late", "--out", str(tmp_path / "no.json"))
        plan = tmp_path / "plan.json"
        run(stack, "plan", *wanted, "--reprocess", "--include-late", "--out", str(plan))
        ended = run(stack, "watch", run(stack, "apply", str(plan), "--yes")["replay_id"])
        assert (ended["state"], ended["counts"]["units_expired"]) == ("done", 0)
        assert ended["counts"]["units_recomputed"] > 0
        minutes = read()
        assert [count for _, count, _ in minutes] == [3] * 10
        assert minutes[-1][2] == 69.0
        deadline = time.monotonic() + 90
        for table in ("rollup_1h", "rollup_1d"):
            of_fleet = f"{table} USING entity WHERE entity.entity_key = {table}.entity_key AND fleet_id = 'moved'"
            counted = f"SELECT counts[1] FROM {of_fleet.replace('USING', 'CROSS JOIN')} AND device_id IS NULL"
            while owner.execute(counted).fetchone() != (30,):
                assert time.monotonic() < deadline, f"{table} does not have the events"
                time.sleep(0.5)
            # What other tests recompute does not have late events.
            owner.execute(f"DELETE FROM {of_fleet}")
