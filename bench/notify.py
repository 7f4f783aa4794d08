"""`python -m bench.notify`: how long it takes from a reading to a person's webhook while a fleet posts.

Each probe is a device with a rule of its own. It sends three readings that are breaches, one after the other; the time
counts from the last of them, as its device wrote it, to the message that the local Slack takes.
"""

import argparse
import asyncio
import json
import random
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from bench.gateways import Gateway, Site
from bench.load import AT_ONCE, GATEWAYS, ask, create_fleet, spread
from bench.stack import HOME, running_stack
from cli.control.client import Client
from cli.control.options import connect
from cli.simulation.channel import Channel
from cli.stages import Target
from local.processes import ROOT
from sluice.core.alerts.limits import MOST_INCIDENTS

LOADING = "plant"
WARM_UP_SECONDS, PATIENCE_SECONDS = 45, 240
BREACHES = 3
RULE = {
    "metric": "cpu_temp",
    "kind": "above",
    "open": 80,
    "clear": 75,
    "breaches": BREACHES,
    "of": 5,
    "severity": "critical",
}


def main() -> int:
    """Start a stack, load it and print the times; fails when a probe's message does not come."""
    parser = argparse.ArgumentParser(prog="python -m bench.notify", description=__doc__)
    parser.add_argument("--rate", type=float, default=2000, help="events a second beside the probes (default: 2000)")
    parser.add_argument("--probes", type=int, default=20, help="how many devices fire, one by one (default: 20)")
    parser.add_argument("--apart", type=float, default=6, help="about so many seconds apart (default: 6)")
    options = parser.parse_args()
    with running_stack() as stack:
        return asyncio.run(measure(stack, connect(Target("", HOME.directory), None), options))


async def measure(stack: dict[str, Any], client: Client, options: argparse.Namespace) -> int:
    """Let the probes fire while the fleet posts."""
    channel = Channel(stack, "bench")
    keys = prepare(stack, client, channel, options.probes)
    gateways = [Gateway(number, 1) for number in range(GATEWAYS)]
    site = Site(stack["api"], create_fleet(stack, LOADING), gateways, options.rate, AT_ONCE)
    lasts = WARM_UP_SECONDS + options.probes * options.apart
    began = time.monotonic()
    posting = asyncio.create_task(site.run(lasts, 0))
    await asyncio.sleep(WARM_UP_SECONDS)
    draw = random.Random(1)  # noqa: S311 -- a simulation wants to be repeatable
    fired: dict[str, datetime] = {}
    watching = asyncio.create_task(
        asyncio.to_thread(watch, channel, list(keys), time.time() + lasts + PATIENCE_SECONDS)
    )
    for device, key in keys.items():
        fired[device] = await asyncio.to_thread(fire, stack, device, key)
        await asyncio.sleep(draw.uniform(0.5, 1.5) * options.apart)
    await posting
    posted = time.monotonic() - began
    came = await watching
    waits = [came[device] - at.timestamp() for device, at in fired.items() if device in came]
    print(f"\n{len(site.account.accepted):,} events, {len(site.account.accepted) / posted:,.0f} a second")
    print(f"  answers: {spread([seconds for _, seconds in site.account.waits])}")
    print(f"  reading to webhook: {spread(waits)}; {len(fired) - len(waits)} did not come")
    return 0 if len(waits) == len(fired) else 1


def prepare(stack: dict[str, Any], client: Client, channel: Channel, probes: int) -> dict[str, str]:
    """Make fleets with a rule for each probe, and a destination; return the key of each probe's fleet."""
    channel.create(client)
    keys, key = dict[str, str](), ""
    for number in range(probes):
        fleet, device = f"watched-{number // MOST_INCIDENTS}", f"probe-{number:02d}"
        if number % MOST_INCIDENTS == 0:
            key = create_fleet(stack, fleet)
        client.change("POST", "fleets", fleet, "rules", body={**RULE, "rule_id": device, "device_id": device})
        keys[device] = key
    return keys


def fire(stack: dict[str, Any], device: str, key: str) -> datetime:
    """Send the breaches of a probe; return when the last was measured."""
    event = json.loads((ROOT / "events" / "telemetry-v2.json").read_text())
    event["metrics"]["cpu_temp"] = 91.5
    keyed = {**stack, "keys": {"device": key}}
    for _ in range(BREACHES):
        now = datetime.now(UTC)
        stamp = now.isoformat(timespec="milliseconds")
        event |= {"event_id": str(uuid.uuid4()), "device_id": device, "timestamp": stamp}
        while ask(keyed, "/v1/events", "device", json.dumps(event).encode()) is None:
            continue
        time.sleep(0.1)
    return now


def watch(channel: Channel, devices: list[str], until: float) -> dict[str, float]:
    """Look what Slack took until each device was in a message; return when each was seen first."""
    came: dict[str, float] = {}
    while len(came) < len(devices) and time.time() < until:
        taken = channel.read()
        now = time.time()
        for device in devices:
            if device not in came and any(device in text for text in taken):
                came[device] = now
        time.sleep(0.1)
    return came


if __name__ == "__main__":
    sys.exit(main())
