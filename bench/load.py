"""`python -m bench.load`: what the whole local stack carries on this machine, and whether all of it arrived.

Three fleets post steadily; then a fourth floods while they go on; then the consumers catch up, and every accepted event
is looked for in the raw store and among the numbers. It reports the CPU time of every part per event.
"""

import argparse
import asyncio
import json
import os
import sys
import time
import urllib.request
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
from pyarrow import fs

from bench.costs import cpu_seconds
from bench.gateways import BATCH, Account, Gateway, Site, read_id
from bench.stack import HOME, running_stack
from local.admin import Admin
from local.processes import ROOT

STEADY, FLOOD = ("north", "south", "west"), "east"
GATEWAYS, AT_ONCE = 16, 6
CATCH_UP_SECONDS = 600
PROBES = 2
"""Each posts an event, waits until it shows, and pauses. Few: every one needs a process of query."""
FIRST_SECONDS = 10
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def main() -> int:
    """Start a stack, load it and report the results; fails when an accepted event is missing."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--rate", type=float, default=5000, help="events a second of the steady fleets (default: 5000)")
    parser.add_argument("--minutes", type=float, default=5, help="how long they post before the flood (default: 5)")
    parser.add_argument("--flood-minutes", type=float, default=1, help="how long the flood lasts (default: 1)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed sends the same readings (default: 1)")
    options = parser.parse_args()
    with running_stack() as stack:
        return asyncio.run(load(stack, options))


async def load(stack: dict[str, Any], options: argparse.Namespace) -> int:
    """Run the phases one after the other."""
    keys = {fleet: create_fleet(stack, fleet) for fleet in (*STEADY, FLOOD)}
    accounts: dict[str, list[Account]] = defaultdict(list)
    gateways = {
        fleet: [Gateway(index * GATEWAYS + number, options.seed) for number in range(GATEWAYS)]
        for index, fleet in enumerate(keys)
    }

    async def phase(name: str, seconds: float, rates: dict[str, float | None]) -> None:
        sites = {
            fleet: Site(stack["api"], keys[fleet], gateways[fleet], rate, AT_ONCE * (1 if rate else 4))
            for fleet, rate in rates.items()
        }
        before, began = cpu_by_part(stack), time.monotonic()
        probes = [asyncio.create_task(asyncio.to_thread(watch_freshness, stack, seconds)) for _ in range(PROBES)]
        apart = BATCH / options.rate
        await asyncio.gather(*(site.run(seconds, apart * index) for index, site in enumerate(sites.values())))
        took = time.monotonic() - began
        costs = {part: used - before.get(part, 0.0) for part, used in cpu_by_part(stack).items()}
        fresh = [waited for probe in probes for waited in await probe]
        print_phase(name, took, {fleet: site.account for fleet, site in sites.items()}, costs, fresh)
        for fleet, site in sites.items():
            accounts[fleet].append(site.account)

    steady: dict[str, float | None] = dict.fromkeys(STEADY, options.rate / len(STEADY))
    await phase("steady", options.minutes * 60, steady)
    if options.flood_minutes:
        await phase(f"{FLOOD} floods", options.flood_minutes * 60, {**steady, FLOOD: None})
    began = time.monotonic()
    accepted = {number for ledger in accounts.values() for account in ledger for number in account.accepted}
    missing = await asyncio.to_thread(catch_up, stack, accepted)
    print(f"\n{len(accepted):,} events accepted; after {time.monotonic() - began:.0f} s of catching up, missing:")
    for where, numbers in missing.items():
        print(f"  {where:<10} {numbers:,}")
    return 1 if any(missing.values()) else 0


def create_fleet(stack: dict[str, Any], fleet_id: str) -> str:
    """Make a fleet with a quota above what this machine can send, so that quotas do not limit the load."""
    admin = Admin.of(stack)
    admin.create_fleet(fleet_id, events_per_second=100_000)
    return admin.create_key(fleet_id, "device")


def cpu_by_part(stack: dict[str, Any]) -> dict[str, float]:
    """CPU seconds that the processes of each part have used."""
    with urllib.request.urlopen(f"{stack['lambdas']}/_model/functions", timeout=10) as answer:  # noqa: S310 -- ours
        functions = json.load(answer)
    pids = json.loads((HOME.directory / "stack.json").read_text())["pids"]
    parts: dict[str, list[int]] = {
        "brokers": [pid for name, pid in pids.items() if name.startswith("kafka")],
        "database": list(family(pids["postgres"])),
        "gateway and event sources (models)": [pids[name] for name in ("http_api", "event_source", "lambdas")],
        "S3 and Firehose (models)": [pids[name] for name in ("aws", "firehose")],
        "this client": [os.getpid()],
    }
    for verb, name in stack["functions"].items():
        parts[verb] = [pid for pid in functions[name]["workers"] if pid is not None]
    return {part: total(lambda pid: cpu_seconds([pid]), found) for part, found in parts.items()}


def total(read: Callable[[int], float], pids: Iterable[int]) -> float:
    """Add up the CPU time of live processes; some may have ended meanwhile."""
    seconds = 0.0
    for pid in pids:
        try:
            seconds += read(pid)
        except OSError:
            continue
    return seconds


def family(parent: int) -> Iterable[int]:
    """A process and those it started."""
    yield parent
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        yield from family(int(child))


def watch_freshness(stack: dict[str, Any], seconds: float) -> list[float]:
    """Post an event of a new device again and again, and see how long each takes to show."""
    end, took = time.monotonic() + seconds, []
    event = json.loads((ROOT / "events" / "telemetry-v2.json").read_text())
    while time.monotonic() < end - 10:
        device = f"probe-{uuid.uuid4().hex[:8]}"
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        event |= {"event_id": str(uuid.uuid4()), "device_id": device, "timestamp": now}
        if ask(stack, "/v1/events", "device", json.dumps(event).encode()) is None:
            continue
        accepted = time.monotonic()
        while time.monotonic() < end + 60:
            found = ask(stack, f"/v1/fleets/{stack['fleet']}/recent?device={device}", "reader")
            if found and found["items"]:
                took.append(time.monotonic() - accepted)
                break
            time.sleep(0.1)
        time.sleep(0.25)
    return took


def ask(stack: dict[str, Any], target: str, role: str, body: bytes | None = None) -> Any:
    """Ask the API; None while it does not answer."""
    headers = {"x-api-key": stack["keys"][role], "content-type": "application/json"}
    request = urllib.request.Request(stack["api"] + target, body, headers)  # noqa: S310 -- ours
    try:
        with urllib.request.urlopen(request, timeout=35) as answer:  # noqa: S310 -- ours
            return json.load(answer)
    except OSError:
        time.sleep(0.5)
        return None


def catch_up(stack: dict[str, Any], accepted: set[int]) -> dict[str, int]:
    """Wait until everything accepted is in the raw store and counted, or nothing more arrives."""
    deadline = time.monotonic() + CATCH_UP_SECONDS
    while True:
        flush = urllib.request.Request(f"{stack['firehose']}/_model/flush", method="POST")  # noqa: S310 -- ours
        urllib.request.urlopen(flush, timeout=120).close()  # noqa: S310
        missing = {"raw store": len(accepted - read_stored(stack)), "numbers": len(accepted) - count_samples(stack)}
        if not any(missing.values()) or time.monotonic() > deadline:
            return missing
        time.sleep(5)


def read_stored(stack: dict[str, Any]) -> set[int]:
    """Read the numbers of the events in the raw store."""
    files = fs.S3FileSystem(
        access_key=stack["admin"]["access_key"],
        secret_key=stack["admin"]["secret_key"],
        endpoint_override=stack["aws"].removeprefix("http://"),
        scheme="http",
        region=stack["region"],
    )
    stored: set[int] = set()
    where = fs.FileSelector(f"{stack['buckets']['raw']}/raw", recursive=True, allow_not_found=True)
    for info in files.get_file_info(where):
        if info.type == fs.FileType.File:
            with files.open_input_file(info.path) as file:
                rows = pq.read_table(file, columns=["fleet_id", "event_id"])
            fleets = rows["fleet_id"].to_pylist()
            ids = rows["event_id"].to_pylist()
            stored.update(read_id(one) for fleet, one in zip(fleets, ids, strict=True) if fleet in (*STEADY, FLOOD))
    return stored


def count_samples(stack: dict[str, Any]) -> int:
    """Count the samples of the loading fleets."""
    with psycopg.connect(stack["database"]) as connection:
        found = connection.execute(
            "SELECT count(*) FROM sample JOIN entity USING (entity_key) WHERE fleet_id = ANY(%s)", ([*STEADY, FLOOD],)
        ).fetchone()
    return found[0] if found else 0


def print_phase(
    name: str, took: float, accounts: dict[str, Account], costs: dict[str, float], fresh: list[float]
) -> None:
    """Print the results of a phase."""
    events = sum(len(account.accepted) for account in accounts.values())
    print(f"\n{name}: {events:,} events in {took:.0f} s, {events / took:,.0f} a second")
    for fleet, account in accounts.items():
        answers = ", ".join(f"{count:,} x {said}" for said, count in sorted(account.answers.items()))
        given_up = f"; {account.given_up:,} events given up" if account.given_up else ""
        print(f"  {fleet:<8} {len(account.accepted) / took:8,.0f} a second; {answers}{given_up}")
    waits = [wait for account in accounts.values() for wait in account.waits]
    print(f"  answers: {spread([seconds for _, seconds in waits])}")
    end = min(moment for moment, _ in waits) + FIRST_SECONDS
    print(f"    first {FIRST_SECONDS} s: {spread([seconds for moment, seconds in waits if moment < end])}")
    print(f"    afterwards: {spread([seconds for moment, seconds in waits if moment >= end])}")
    print(f"  accepted to visible: {spread(fresh)}")
    print(f"  CPU us per event   {sum(costs.values()) / events * 1e6:8.1f}   cores {sum(costs.values()) / took:.2f}")
    for part, seconds in Counter(costs).most_common():
        if seconds / took >= 0.002:
            print(f"    {part:<36} {seconds / events * 1e6:8.1f} {seconds / took:8.2f}")


def spread(seconds: list[float]) -> str:
    """Write the figures at some shares of all, and the highest."""
    if not seconds:
        return "none"
    ordered = sorted(seconds)
    figures = [f"{share} {ordered[int(part * (len(ordered) - 1))]:.3f}" for share, part in SHARES.items()]
    return f"{', '.join(figures)}, highest {ordered[-1]:.3f} s, of {len(ordered):,}"


if __name__ == "__main__":
    sys.exit(main())
