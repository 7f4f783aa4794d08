"""What would change the bill: each lever with what it is worth, and whether it is pulled."""

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from cli.cost.bill import Bill
from cli.cost.templates import Deployed
from cli.cost.workload import Workload

State = Literal["pulled", "left", "yours"]
"""Pulled in the templates, left for the reason given, or for whoever runs the devices to pull."""

Months = Callable[[Deployed, Workload], Bill]
Change = Callable[[Deployed, Workload], tuple[Deployed, Workload]]


class Lever(msgspec.Struct, frozen=True):
    """One change: of a pulled lever the way back, of any other the way there."""

    name: str
    state: State
    reason: str
    change: Change


def _with_functions(deployed: Deployed, **changes: object) -> Deployed:
    functions = {name: msgspec.structs.replace(each, **changes) for name, each in deployed.functions.items()}
    return msgspec.structs.replace(deployed, functions=functions)


def _with_ingest(deployed: Deployed, **changes: object) -> Deployed:
    functions = dict(deployed.functions)
    functions["ingest"] = msgspec.structs.replace(functions["ingest"], **changes)
    return msgspec.structs.replace(deployed, functions=functions)


def _with_database(deployed: Deployed, **changes: object) -> Deployed:
    return msgspec.structs.replace(deployed, database=msgspec.structs.replace(deployed.database, **changes))


def _packed(events: float) -> Change:
    def change(deployed: Deployed, work: Workload) -> tuple[Deployed, Workload]:
        return deployed, Workload(work.devices, work.events_per_second, work.hours_a_day, events)

    return change


def _raw_days(days: int) -> Change:
    def change(deployed: Deployed, work: Workload) -> tuple[Deployed, Workload]:
        kept = {place: days if place.endswith("/raw/") else old for place, old in deployed.kept_days.items()}
        return msgspec.structs.replace(deployed, kept_days=kept), work

    return change


LEVERS = (
    Lever(
        "Devices send 100 events in a request",
        "yours",
        "Requests are the largest part of the bill. Devices keep their events for longer before they send them.",
        _packed(100),
    ),
    Lever(
        "Devices send 50 events in a request",
        "yours",
        "Most of the gain, for half the wait.",
        _packed(50),
    ),
    Lever(
        "No X-Ray traces",
        "pulled",
        "They showed spans that nobody annotated. `sluice trace` follows one event by its id through every store.",
        lambda deployed, work: (_with_functions(deployed, traced=True), work),
    ),
    Lever(
        "No environments of ingest that stay started",
        "left",
        "The first device of a quiet hour would wait two seconds for a start.",
        lambda deployed, work: (_with_ingest(deployed, started=0), work),
    ),
    Lever(
        "A database of half the size (r7g.large)",
        "left",
        "By docs/sizing.md it is enough on average. After an outage it would catch up at half the pace. Halve it when a"
        " month of your own stays below a quarter of the instance.",
        lambda deployed, work: (_with_database(deployed, instance_type="r7g.large"), work),
    ),
    Lever(
        "A database in one zone",
        "left",
        "A zone that fails would stop all numbers until a backup is restored.",
        lambda deployed, work: (_with_database(deployed, multi_az=False), work),
    ),
    Lever(
        "Backups of 7 days",
        "left",
        "A mistake is often found after a week. Raw events can repair samples, not settings.",
        lambda deployed, work: (_with_database(deployed, backup_days=7), work),
    ),
    Lever(
        "Raw events kept for 30 days",
        "left",
        "What raw no longer holds cannot be replayed.",
        _raw_days(30),
    ),
)


def weigh(deployed: Deployed, work: Workload, bill: Months) -> Iterator[tuple[Lever, float]]:
    """Say what each lever saves a month; a pulled one has saved it already."""
    now = bill(deployed, work).total
    for lever in LEVERS:
        changed = bill(*lever.change(deployed, work)).total
        yield lever, changed - now if lever.state == "pulled" else now - changed
