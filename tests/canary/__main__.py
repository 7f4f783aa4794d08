"""`make canary`: post to a stage as devices do, and read back from outside what must have come of it.

With STAGE, API and KEY it asks a deployed stage, through Athena; without, the local stack. With READER_KEY it also asks
the query API for the numbers. Its devices have names of their own: nothing else in the fleet is touched or counted.
"""

import argparse
import asyncio
import csv
import io
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from local.fleet.devices import EVENTS, Fleet, Sent, write
from tests.canary.checking import Found, find_faults, find_miscounts
from tests.support.ledger import ACCEPTED, Ledger, digest, post_all
from tests.support.stream import ended_minutes

ROOT = Path(__file__).parents[2]
BATCH, DEVICES = 50, 20
PAUSE_SECONDS = 5
KINDS = ("telemetry", "duplicate", "invalid", "unknown_firmware", "undeclared")


@dataclass(frozen=True)
class Stage:
    """What to post to, and how to read back."""

    api: str
    key: str
    query: list[str]
    reader_key: str | None


def main() -> int:
    """Post, read back until all is there or patience is over, and say what is not as it must be."""
    options = argparse.ArgumentParser(prog="canary", description=__doc__)
    options.add_argument("--stage", help="a deployed stage; the local stack if it is not given")
    options.add_argument("--api", help="its address")
    options.add_argument("--dir", type=Path, default=ROOT / ".local", help="the local stack's directory")
    options.add_argument("--events", type=int, default=1000)
    options.add_argument("--patience", type=float, default=300, help="how many seconds everything may take to appear")
    given = options.parse_args()
    stage = find_stage(given)
    run = f"canary-{secrets.token_hex(4)}"
    sent = list(chirps(run, given.events))
    batches = [sent[at : at + BATCH] for at in range(0, len(sent), BATCH)]
    ledger = asyncio.run(post_all(stage.api, stage.key, batches, until_settled=True))
    answers = Counter(attempt.answer for attempt in ledger.attempts)
    say(f"{run}: {len(ledger.attempts)} times sent: {dict(answers)}; answers {dict(ledger.statuses)}")
    faults = persist(lambda: read_back(stage, run, ledger), given.patience)
    if stage.reader_key:
        faults += persist(lambda: count_back(stage, ledger, sent), given.patience)
    say("\n".join(faults) or f"{run}: all is where it must be, and nowhere else")
    return 1 if faults else 0


def find_stage(given: argparse.Namespace) -> Stage:
    """Take the stage's address and keys from the command line and the environment, or the local stack's own."""
    command = [sys.executable, "-m", "local.query"]
    if given.stage:
        return Stage(given.api, os.environ["KEY"], [*command, "--stage", given.stage], os.environ.get("READER_KEY"))
    stack = json.loads((given.dir / "stack.json").read_text())
    return Stage(stack["api"], stack["keys"]["device"], [*command, "--dir", str(given.dir)], stack["keys"]["reader"])


def chirps(run: str, count: int) -> Iterator[Sent]:
    """Events of the canary's own devices, good and bad, some of them twice."""
    seed = int(run.rpartition("-")[2], 16)
    fleet = Fleet(seed, DEVICES, ended_minutes(seed))
    made = 0
    while made < count:
        sent = fleet.event()
        if sent.kind in KINDS:
            document = json.loads(sent.body)
            named = document | {"device_id": document["device_id"].replace("press", run)}
            yield Sent(EVENTS, write(named), sent.kind)
            made += 1


def persist(find: Callable[[], list[str]], patience: float) -> list[str]:
    """Look again until there is no fault, for so long: what was accepted takes a while to appear."""
    deadline = time.monotonic() + patience
    while (faults := find()) and time.monotonic() < deadline:
        time.sleep(PAUSE_SECONDS)
    return faults


def read_back(stage: Stage, run: str, ledger: Ledger) -> list[str]:
    """Hold the raw table and the dead letters against the ledger."""
    since = (datetime.now(UTC) - timedelta(days=1)).date()
    mine = f"device_id LIKE '{run}-%' AND dt >= '{since}'"
    rows = ask(stage, f"SELECT kafka_partition, kafka_offset, event FROM raw_events WHERE {mine}")
    letters = ask(stage, f"SELECT event FROM dead_letters WHERE {mine}")
    found = [Found(int(partition), int(offset), event) for partition, offset, event in rows]
    return find_faults(ledger, found, [event for (event,) in letters])


def ask(stage: Stage, sql: str) -> list[list[str]]:
    """Run a query as an analyst does; the rows without their header."""
    ran = subprocess.run([*stage.query, "--sql", sql], cwd=ROOT, capture_output=True, text=True, check=True)
    return list(csv.reader(io.StringIO(ran.stdout, newline="")))[1:]


def count_back(stage: Stage, ledger: Ledger, sent: list[Sent]) -> list[str]:
    """Hold the minutes of each device, as the query API tells them, against the ledger."""
    accepted = {attempt.sha256 for attempt in ledger.attempts if attempt.answer == ACCEPTED}
    expected: Counter[str] = Counter()
    for body in {one.body for one in sent if digest(one.body) in accepted}:
        expected[json.loads(body)["device_id"]] += 1
    (fleet,) = (item["fleet_id"] for item in get(stage, "/v1/fleets")["items"])
    counted: Counter[str] = Counter()
    for device in expected:
        until = datetime.now(UTC)
        asked = {"device": device, "metric": "cpu_temp", "resolution": "1m"}
        asked |= {"from": (until - timedelta(hours=2)).isoformat(), "to": until.isoformat()}
        page = get(stage, f"/v1/fleets/{fleet}/rollups?{urllib.parse.urlencode(asked)}")
        counted[device] = sum(window["count"] for window in page["items"])
    return find_miscounts(expected, counted)


def get(stage: Stage, path: str) -> Any:
    """Ask the query API."""
    request = urllib.request.Request(stage.api + path, headers={"x-api-key": stage.reader_key or ""})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def say(what: str) -> None:
    """Say it."""
    print(what, flush=True)  # noqa: T201 - a command's own words


if __name__ == "__main__":
    sys.exit(main())
