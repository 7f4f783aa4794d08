"""`python -m bench.replay`: what replays take on the local stack, what their plans expected, and what changed.

A fleet posts an hour's events, and they are replayed several times: every stored number must be as before. A last
replay computes every window again while another fleet posts.
"""

import argparse
import asyncio
import hashlib
import itertools
import json
import random
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from bench.gateways import BATCH, Gateway, Site, write_id
from bench.load import AT_ONCE, GATEWAYS, create_fleet, spread, watch_freshness
from bench.stack import HOME, running_stack
from cli.control.client import Client
from cli.control.options import connect
from cli.replay.progress import OVER, STATES
from cli.stages import CommandError, Target

FLEET, OTHER = "plant", "beside"
AGO = timedelta(minutes=50)
"""Events of an hour ago and more would be late."""
PATIENCE_SECONDS = 900


class Past(Gateway):
    """A site whose devices post what they measured during the last hour, in turn."""

    def __init__(self, number: int, devices: int, events: int, since: datetime) -> None:
        super().__init__(number, seed=1)
        self._first = number << 32
        self._numbers = itertools.count()
        self._devices, self._events, self._since = devices, events, since
        self._draw = random.Random(number)  # noqa: S311 -- a simulation wants to be repeatable

    def batch(self) -> tuple[range, bytes]:
        """The next events, and their numbers."""
        start = next(self._numbers) * BATCH
        numbers = range(self._first + start, self._first + start + BATCH)
        return numbers, f"[{','.join(self._write(number) for number in numbers)}]".encode()

    def _write(self, number: int) -> str:
        position = number - self._first
        moment = self._since + AGO * ((position % self._events) / self._events)
        return (
            f'{{"event_id":"{write_id(number)}","timestamp":"{moment.isoformat(timespec="milliseconds")}",'
            f'"device_id":"press-{self._first >> 32:02d}-{position % self._devices:04d}",'
            f'"device_firmware_version":"2.4.1","metrics":{{"cpu_temp":{self._draw.gauss(48, 4):.1f},'
            f'"vibration_rms":{self._draw.uniform(1, 3):.2f},"supply_voltage":{self._draw.gauss(24, 0.2):.2f},'
            f'"humidity":{self._draw.gauss(42, 5):.1f}}}}}'
        )


def main() -> int:
    """Start a stack, fill it, and replay; fails when a number changed that should not, or a replay did not end well."""
    parser = argparse.ArgumentParser(prog="python -m bench.replay", description=__doc__)
    parser.add_argument("--events", type=int, default=360_000, help="how many to replay (default: 360000)")
    parser.add_argument("--devices", type=int, default=1000, help="of how many devices (default: 1000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often they are replayed (default: 3)")
    parser.add_argument("--rate", type=float, default=1000, help="events a second beside the last (default: 1000)")
    options = parser.parse_args()
    with running_stack() as stack:
        client = connect(Target("", HOME.directory), None)
        since = datetime.now(UTC) - AGO
        sent = asyncio.run(fill(stack, options, since))
        settle(stack, sent, since + AGO)
        kept = True
        for number in range(options.rounds):
            before = digest_numbers(stack)
            tell(f"replay {number + 1}", replay(client, since, reprocess=False))
            kept = kept and digest_numbers(stack) == before
        print("every stored number is as before" if kept else "NUMBERS CHANGED", flush=True)
        if options.rate:
            asyncio.run(replay_beside(stack, client, options.rate, since))
        return 0 if kept else 1


async def fill(stack: Mapping[str, Any], options: argparse.Namespace, since: datetime) -> int:
    """Post the events to replay, as fast as they are taken."""
    key = create_fleet(dict(stack), FLEET)
    each = -(-options.events // GATEWAYS)
    sites = [Past(number, -(-options.devices // GATEWAYS), each, since) for number in range(GATEWAYS)]
    site = Site(stack["api"], key, sites, None, AT_ONCE)
    posting = asyncio.create_task(site.run(PATIENCE_SECONDS, 0))
    while len(site.account.accepted) < options.events and not posting.done():
        await asyncio.sleep(0.1)
    if posting.done():
        posting.result()  # raises what ended it
        raise TimeoutError(f"{len(site.account.accepted):,} of {options.events:,} events are accepted")
    posting.cancel()
    await asyncio.gather(posting, return_exceptions=True)
    return len(site.account.accepted)


def settle(stack: Mapping[str, Any], sent: int, until: datetime) -> None:
    """Wait until the posted events are counted, in minutes too; those that were cut off while being posted are as well.

    A minute that is computed for the first time after a replay has begun would look like a change of it.
    """
    deadline, before = time.monotonic() + PATIENCE_SECONDS, -1
    while True:
        with psycopg.connect(stack["database"]) as connection:
            row = connection.execute(
                "SELECT (SELECT count(*) FROM sample JOIN entity USING (entity_key) WHERE fleet_id = %s),"
                " (SELECT count(*) FILTER (WHERE closed_until <= %s) FROM shard)"
                " + (SELECT count(*) FROM dirty WHERE resolution = '1m' AND window_start <= %s),"
                " (SELECT coalesce(sum(events), 0) FROM outcome"
                " WHERE consumer = 'archive' AND fleet_id = %s)",
                [FLEET, until, until, FLEET],
            ).fetchone() or (0, 1, 0)
        counted, marked, archived = row
        if counted >= sent and counted == archived == before and not marked:
            print(f"{counted:,} events are counted, stored and in their minutes", flush=True)
            return
        if time.monotonic() > deadline:
            left = f"{archived:,} are stored, and {marked:,} windows wait"
            raise TimeoutError(f"{counted:,} of {sent:,} events are counted, {left}")
        before = counted
        time.sleep(5)


def digest_numbers(stack: Mapping[str, Any]) -> str:
    """Hash every stored number of the fleet's hours."""
    with psycopg.connect(stack["database"]) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        found = connection.execute(
            "SELECT r::text FROM rollups AS r WHERE fleet_id = %s AND resolution = '1m' ORDER BY 1", [FLEET]
        )
        return hashlib.sha256("\n".join(text for (text,) in found).encode()).hexdigest()


def replay(client: Client, since: datetime, *, reprocess: bool) -> dict[str, Any]:
    """Plan, apply, and wait for the end."""
    asked = {"fleet_id": FLEET, "from": since.isoformat(), "to": (since + AGO).isoformat(), "device_ids": None}
    plan = client.change("POST", "replays", "plan", body={**asked, "include_late": False, "reprocess": reprocess})
    replay_id = client.change("POST", "replays", body={"plan": plan})["replay_id"]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            found = client.get("replays", replay_id)
        except CommandError:
            # The first step has not claimed the plan yet.
            found = {"state": "unknown"}
        if found["state"] in OVER:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"{replay_id} is {found['state']} after {PATIENCE_SECONDS} s")
        time.sleep(0.5)


def tell(name: str, found: Mapping[str, Any]) -> None:
    """Print a replay's steps, and how far its plan was from the truth."""
    if found["state"] != "done":
        raise RuntimeError(f"{name} is {found['state']}: {found['reason']}")
    begun = {state: datetime.fromisoformat(text) for state, text in found["begun_at"].items()}
    ends = [begun[state] for state in (*STATES, "done")]
    steps = [(end - start).total_seconds() for start, end in itertools.pairwise(ends)]
    took = (datetime.fromisoformat(found["ended_at"]) - datetime.fromisoformat(found["claimed_at"])).total_seconds()
    counts, expected = found["counts"], found["plan"]["expected"]
    shown = ", ".join(f"{state} {seconds:.1f}" for state, seconds in zip(STATES, steps, strict=True))
    print(f"{name}: {counts['recounted']:,} events in {took:.1f} s ({shown})")
    print(
        f"  the plan expected {expected['events']:,} events ({compare(expected['events'], counts['recounted'])})"
        f" and {expected['seconds']} s ({compare(expected['seconds'], took)}; between {expected['least_seconds']} and"
        f" {expected['most_seconds']}, by {expected['seconds_from']});"
        f" {counts['removed']:,} samples removed, {counts['added']:,} added",
        flush=True,
    )


def compare(expected: float, came: float) -> str:
    """Write how far a forecast was from what came."""
    return f"{(expected / came - 1) * 100:+.0f} %"


async def replay_beside(stack: dict[str, Any], client: Client, rate: float, since: datetime) -> None:
    """Compute every window again while another fleet posts."""
    key = create_fleet(stack, OTHER)
    gateways = [Gateway(1000 + number, 1) for number in range(GATEWAYS)]
    site = Site(stack["api"], key, gateways, rate, AT_ONCE)
    posting = asyncio.create_task(site.run(PATIENCE_SECONDS, 0))
    await asyncio.sleep(10)
    began = time.monotonic()
    site.account.waits.clear()
    working = asyncio.create_task(asyncio.to_thread(replay, client, since, reprocess=True))
    fresh: list[float] = []
    while not working.done():
        fresh += await asyncio.to_thread(watch_freshness, stack, 12.0)
    if posting.done():
        posting.result()  # raises what ended it
    took = time.monotonic() - began
    posted = len(site.account.waits) * BATCH / took
    posting.cancel()
    await asyncio.gather(posting, return_exceptions=True)
    tell(f"all windows again, beside {posted:,.0f} events a second", await working)
    print(f"  answers: {spread([seconds for _, seconds in site.account.waits])}")
    print(f"  accepted to visible: {spread(fresh)}")
    print(f"  refused: {json.dumps({said: count for said, count in site.account.answers.items() if said != '202'})}")


if __name__ == "__main__":
    sys.exit(main())
