"""Simulate a fleet that posts to the local stack, and show what becomes of its events."""

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from cli.control.address import find_api
from cli.control.client import Client
from cli.simulation.alert import OverheatingDevice
from cli.simulation.devices import Fleet
from cli.simulation.traffic import Traffic
from cli.simulation.view import Gauge, summarize, watch
from cli.stages import Directory, choose, read_stack


def run(
    minutes: Annotated[float, typer.Option(metavar="MINUTES", min=0, help="How long.")] = 30,
    rate: Annotated[float, typer.Option(metavar="EVENTS", min=0.1, help="Events a second between bursts.")] = 300,
    devices: Annotated[int, typer.Option(metavar="DEVICES", min=1, help="Devices in the fleet.")] = 500,
    seed: Annotated[int, typer.Option(metavar="SEED", help="The same seed sends the same events.")] = 1,
    with_alert: Annotated[
        bool, typer.Option("--alert", help="Let a device overheat, under a rule, and show who is notified.")
    ] = False,
    directory: Directory = None,
) -> None:
    """Post to the local stack as a simulated fleet does.

    It ends when the time is over, or by Ctrl-C, and shows what becomes of the events.
    """
    target = choose("", directory)
    stack = read_stack(target.dir)
    fleet = Fleet(seed, devices, lambda: datetime.now(UTC))
    traffic = Traffic(stack["api"], stack["keys"]["device"], fleet, rate, seed)
    gauge = Gauge(stack)
    alert = OverheatingDevice(stack, Client(find_api(target, "admin")), fleet) if with_alert else None
    if alert is not None:
        alert.prepare()
        print(f"a device that overheats: {alert.link}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_simulate(traffic, gauge, minutes * 60, f"posting to {stack['api']} · Ctrl-C ends", alert))
    print(summarize(traffic.tally, gauge.read(), alert))


async def _simulate(traffic: Traffic, gauge: Gauge, seconds: float, title: str, alert: OverheatingDevice | None) -> Any:
    view = asyncio.create_task(watch(traffic.tally, gauge, title, alert))
    posting = asyncio.create_task(_post(traffic, seconds, alert))
    # Whichever ends first ends the other: a view that fails must not leave the fleet posting unseen.
    done, running = await asyncio.wait((view, posting), return_when=asyncio.FIRST_COMPLETED)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    for task in done:
        task.result()


async def _post(traffic: Traffic, seconds: float, alert: OverheatingDevice | None) -> None:
    """Post until the time is over, and then until it is clear what became of the alert."""
    if alert is None:
        await traffic.run(seconds)
        return
    watching = asyncio.create_task(alert.run())
    try:
        await traffic.run(seconds)
        await alert.settle()
    finally:
        watching.cancel()
    # What it failed with, if it did.
    with contextlib.suppress(asyncio.CancelledError):
        await watching
