"""What would change the bill: each lever with what it is worth, and why it is not done if it is not."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec
from msgspec.structs import replace

from cli.cost.bill import Bill
from cli.cost.figures import Figures
from cli.cost.templates import Deployed
from cli.cost.workload import Workload

FIREWALL_RULES = 8
"""Of WAF, where it is in front; a test holds it against the template."""
State = Literal["done", "declined", "an option", "up to the devices"]


class Basis(msgspec.Struct, frozen=True):
    """What a bill is computed from, besides prices."""

    deployed: Deployed
    work: Workload
    figures: Figures


class Lever(msgspec.Struct, frozen=True):
    """One change: of one that is done the way back, of any other the way there."""

    name: str
    state: State
    reason: str
    change: Callable[[Basis], Basis]


def _in_functions(**changes: object) -> Callable[[Basis], Basis]:
    def change(basis: Basis) -> Basis:
        functions = {name: replace(each, **changes) for name, each in basis.deployed.functions.items()}
        return replace(basis, deployed=replace(basis.deployed, functions=functions))

    return change


def _in_ingest(**changes: object) -> Callable[[Basis], Basis]:
    def change(basis: Basis) -> Basis:
        functions = basis.deployed.functions
        changed = {**functions, "ingest": replace(functions["ingest"], **changes)}
        return replace(basis, deployed=replace(basis.deployed, functions=changed))

    return change


def _in_database(**changes: object) -> Callable[[Basis], Basis]:
    return lambda basis: replace(
        basis, deployed=replace(basis.deployed, database=replace(basis.deployed.database, **changes))
    )


def _in_brokers(**changes: object) -> Callable[[Basis], Basis]:
    return lambda basis: replace(
        basis, deployed=replace(basis.deployed, brokers=replace(basis.deployed.brokers, **changes))
    )


def _in_deployment(**changes: object) -> Callable[[Basis], Basis]:
    return lambda basis: replace(basis, deployed=replace(basis.deployed, **changes))


def _in_figures(**values: float) -> Callable[[Basis], Basis]:
    def change(basis: Basis) -> Basis:
        changed = {name: replace(getattr(basis.figures, name), value=value) for name, value in values.items()}
        return replace(basis, figures=replace(basis.figures, **changed))

    return change


def _request_of(events: float) -> Callable[[Basis], Basis]:
    return lambda basis: replace(basis, work=dataclasses.replace(basis.work, events_per_request=events))


def _raw_days(days: int) -> Callable[[Basis], Basis]:
    def change(basis: Basis) -> Basis:
        kept = {place: days if place.endswith("/raw/") else old for place, old in basis.deployed.kept_days.items()}
        return replace(basis, deployed=replace(basis.deployed, kept_days=kept))

    return change


# What the access log held before.
LONG_ACCESS_LOG = (
    "$context.requestId",
    "$context.requestTimeEpoch",
    "$context.routeKey",
    "$context.status",
    "$context.responseLength",
    "$context.responseLatency",
    "$context.integrationStatus",
    "$context.integrationLatency",
    "$context.error.message",
)

LEVERS = (
    Lever(
        "Devices send 100 events in a request",
        "up to the devices",
        "Requests are the largest part that devices decide about. Devices keep their events for longer.",
        _request_of(100),
    ),
    Lever(
        "Devices send 50 events in a request",
        "up to the devices",
        "Most of the gain, for half the wait.",
        _request_of(50),
    ),
    Lever(
        "X-Ray traces are off",
        "done",
        "The spans were not used. `sluice trace` follows one event by its id through every store.",
        _in_functions(traced=True),
    ),
    Lever(
        "Rows without what can be derived",
        "done",
        "The view `events` derives metrics, the day and the topic. Firehose and its endpoint bill bytes.",
        _in_figures(row_bytes=790, stored_bytes=128),
    ),
    Lever(
        "Metrics lines of ingest leave out zeros",
        "done",
        "A missing count means none.",
        _in_figures(ingest_line_bytes=360),
    ),
    Lever(
        "The access log has four fields",
        "done",
        "Latencies and sizes by route are metrics.",
        _in_deployment(access_log=LONG_ACCESS_LOG, access_log_text=202),
    ),
    Lever(
        "No environments of ingest that stay started",
        "declined",
        "The first device of a quiet hour would wait two seconds for a start. By a schedule, part of this amount.",
        _in_ingest(started=0),
    ),
    Lever(
        "CloudFront and WAF in front (`WAF=yes`)",
        "an option",
        "A flood without keys then uses up no throttle. Off: it costs a third of the bill, and floods end.",
        _in_deployment(firewall_rules=FIREWALL_RULES),
    ),
    Lever(
        "A database of half the size (r7g.large)",
        "declined",
        "By docs/sizing.md it is enough on average. After an outage it would catch up at half the pace. Halve it when"
        " CPU stays below 25 % and memory below 16 GB for a month, peaks included.",
        _in_database(instance_type="r7g.large"),
    ),
    Lever(
        "A database in one zone",
        "declined",
        "A zone that fails would stop all numbers until a backup is restored.",
        _in_database(multi_az=False),
    ),
    Lever(
        "Brokers' disks of half the size",
        "declined",
        "Six hours of the peak, one event in a record batch, a replay of as many and full dead letters would fill"
        " 80 % of them.",
        _in_brokers(storage_gib=250),
    ),
    Lever(
        "Backups of 7 days",
        "declined",
        "A mistake is often found after a week. Raw events can repair samples, not settings.",
        _in_database(backup_days=7),
    ),
    Lever(
        "Raw events kept for 30 days",
        "declined",
        "What raw no longer holds cannot be replayed.",
        _raw_days(30),
    ),
)


def weigh(basis: Basis, bill: Callable[[Basis], Bill]) -> Iterator[tuple[Lever, float]]:
    """Say what each lever saves a month; one that is done has saved it already."""
    now = bill(basis).total
    for lever in LEVERS:
        changed = bill(lever.change(basis)).total
        yield lever, changed - now if lever.state == "done" else now - changed
