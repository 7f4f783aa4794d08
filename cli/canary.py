"""Post to a stage as devices do, and read back from outside what must have come of it.

Its devices have names of their own: nothing else in the fleet is touched or counted.
"""

import asyncio
import json
import os
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from cli import query
from cli.aws import locate_api
from cli.canary_checks import Row, find_faults, find_miscounts, find_unsettled, shorten
from cli.simulation.client import ACCEPTED, Ledger, digest, post_all
from cli.simulation.clocks import ended_minutes
from cli.simulation.devices import EVENTS, Fleet, Sent, write
from cli.stages import CommandError, Directory, Stage, Target, choose, read_stack

BATCH, DEVICES = 50, 20
PAUSE_SECONDS = 5
STORED = "SELECT kafka_partition, kafka_offset, event FROM raw_events WHERE device_id LIKE ? AND dt >= ?"
LETTERS = "SELECT event FROM dead_letters WHERE device_id LIKE ? AND dt >= ?"
KINDS = ("telemetry", "duplicate", "invalid", "unknown_firmware", "undeclared")


@dataclass(frozen=True)
class Api:
    """Where to post, and with which keys."""

    address: str
    key: str
    reader_key: str | None


def run(
    events: Annotated[int, typer.Option(metavar="EVENTS", min=1, help="How many events to post.")] = 1000,
    patience: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How many seconds everything may take to appear.")
    ] = 300,
    api: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to post to. Without: the stage's own.")] = "",
    stage: Stage = "",
    directory: Directory = None,
) -> None:
    """Post as devices do and read the results back.

    It ends with 1 if events are not taken, which it tries for some minutes, or if anything is missing, doubled, altered
    or miscounted when its patience is over. At a deployed stage the environment has a device key as KEY and, for the
    numbers to be checked too, a reader key as READER_KEY.
    """
    target = choose(stage, directory)
    posts_to = find_api(target, api)
    faults = check(target, posts_to, f"canary-{secrets.token_hex(4)}", events, patience)
    if faults:
        raise typer.Exit(1)


def check(target: Target, api: Api, run: str, events: int, patience: float) -> list[str]:
    """Post, read back until all is there or patience is over, and say what is not as it must be."""
    sent = list(draw_events(run, events))
    batches = [sent[at : at + BATCH] for at in range(0, len(sent), BATCH)]
    check_reachable(api)
    ledger = asyncio.run(post_all(api.address, api.key, batches, until_settled=True))
    answers = Counter(attempt.answer for attempt in ledger.attempts)
    results = ", ".join(f"{count:,} {answer}" for answer, count in sorted(answers.items()))
    statuses = ", ".join(f"{count:,} answers {status}" for status, count in sorted(ledger.statuses.items()))
    say(f"{run}: {len(ledger.attempts):,} events posted: {results}; {statuses}")
    faults = find_unsettled(ledger) + persist(lambda: read_back(target, run, ledger), patience)
    if api.reader_key:
        faults += persist(lambda: count_back(api, ledger, sent), patience)
    say("\n".join(shorten(faults)) or f"{run}: all is where it must be, and nowhere else")
    return faults


def check_reachable(api: Api) -> None:
    """Find out at once if nothing answers there: posting would try for minutes."""
    try:
        urllib.request.urlopen(f"{api.address}/", timeout=10).close()  # noqa: S310 - the stage's, or as given
    except urllib.error.HTTPError:
        return
    except (OSError, ValueError) as error:
        raise CommandError(f"nothing answers at {api.address}: {error}") from error


def find_api(target: Target, address: str) -> Api:
    """Take the keys from the environment, or the local stack's own; the address is the stage's unless one is given."""
    if not target.stage:
        stack = read_stack(target.dir)
        return Api(address or stack["api"], stack["keys"]["device"], stack["keys"]["reader"])
    if not os.environ.get("KEY"):
        raise CommandError("a deployed stage is asked with a device key as KEY in the environment", 2)
    return Api(address or locate_api(target), os.environ["KEY"], os.environ.get("READER_KEY"))


def draw_events(run: str, count: int) -> Iterator[Sent]:
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


def read_back(target: Target, run: str, ledger: Ledger) -> list[str]:
    """Hold the raw table and the dead letters against the ledger."""
    mine = [f"{run}-%", (datetime.now(UTC) - timedelta(days=1)).date().isoformat()]
    stored, letters = query.ask(target, STORED, mine), query.ask(target, LETTERS, mine)
    rows = [Row(int(partition), int(offset), str(event)) for partition, offset, event in stored.rows]
    return find_faults(ledger, rows, [str(event) for (event,) in letters.rows])


def count_back(api: Api, ledger: Ledger, sent: Sequence[Sent]) -> list[str]:
    """Hold the minutes of each device, as the query API tells them, against the ledger."""
    accepted = {attempt.sha256 for attempt in ledger.attempts if attempt.answer == ACCEPTED}
    expected: Counter[str] = Counter()
    for body in {one.body for one in sent if digest(one.body) in accepted}:
        expected[json.loads(body)["device_id"]] += 1
    try:
        (fleet,) = (item["fleet_id"] for item in get(api, "/v1/fleets")["items"])
        counted = Counter({device: count_device(api, fleet, device) for device in expected})
    except OSError as error:
        # Of an answer that is no success, too. It may be another one when it is asked again.
        return [f"query cannot be asked: {error}"]
    return find_miscounts(expected, counted)


def count_device(api: Api, fleet: str, device: str) -> int:
    """Count a device's events of the last two hours; aggregate may not have counted any yet."""
    until = datetime.now(UTC)
    asked = {"device": device, "metric": "cpu_temp", "resolution": "1m"}
    asked |= {"from": (until - timedelta(hours=2)).isoformat(), "to": until.isoformat()}
    try:
        page = get(api, f"/v1/fleets/{fleet}/rollups?{urllib.parse.urlencode(asked)}")
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return 0
        raise
    return sum(window["count"] for window in page["items"])


def get(api: Api, path: str) -> Any:
    """Ask the query API."""
    request = urllib.request.Request(api.address + path, headers={"x-api-key": api.reader_key or ""})  # noqa: S310 - ours
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - the same address
        return json.load(answer)


def say(what: str) -> None:
    """Say it at once: the canary takes minutes."""
    print(what, flush=True)
