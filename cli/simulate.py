"""Simulate a fleet that posts to the local stack, and show what becomes of its events."""

import argparse
import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cli.simulation.devices import Fleet
from cli.simulation.traffic import Traffic
from cli.simulation.view import Gauge, summarize, watch
from cli.stages import read_stack


def main(arguments: Sequence[str]) -> int:
    """Simulate until the time is over or a person presses Ctrl-C."""
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".local"), help="the stack's directory (default: .local)")
    parser.add_argument("--minutes", type=float, default=30, help="how long (default: 30)")
    parser.add_argument("--rate", type=float, default=300, help="events a second between bursts (default: 300)")
    parser.add_argument("--devices", type=int, default=500, help="devices in the fleet (default: 500)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed sends the same events (default: 1)")
    options = parser.parse_args(arguments)
    stack = read_stack(options.dir)
    fleet = Fleet(options.seed, options.devices, lambda: datetime.now(UTC))
    traffic = Traffic(stack["api"], stack["keys"]["device"], fleet, options.rate, options.seed)
    gauge = Gauge(stack)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_simulate(traffic, gauge, options.minutes * 60, f"posting to {stack['api']} · Ctrl-C ends"))
    print(summarize(traffic.tally, gauge.read()))
    return 0


async def _simulate(traffic: Traffic, gauge: Gauge, seconds: float, title: str) -> Any:
    view = asyncio.create_task(watch(traffic.tally, gauge, title))
    posting = asyncio.create_task(traffic.run(seconds))
    # Whichever ends first ends the other: a view that fails must not leave the fleet posting unseen.
    done, running = await asyncio.wait((view, posting), return_when=asyncio.FIRST_COMPLETED)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    for task in done:
        task.result()
