"""Writes docs/cost.md."""

from collections.abc import Iterator

from cli.cost.figures import Curve, Figure, Figures
from cli.cost.report import Model
from cli.cost.tables import Table, dollars
from cli.cost.workload import BUDGETS, SHORT

BAR = 40


def write_page(model: Model, large: Model) -> str:
    """Write the page from the models of the profiles baseline and large."""
    parts = (_money(model), _change(model), _bounds(model), _elsewhere(model, large), _sources(model))
    return "".join(f"{line}\n" for part in parts for line in part)


def _money(model: Model) -> Iterator[str]:
    few, many = (model.size.workload(events_per_request=events) for events in (10, 100))
    yield "# What a deployment costs"
    yield ""
    yield from _picture(model)
    yield ""
    yield (
        "`make cost` writes this page from the synthesized templates, the prices in `cli/cost/prices.toml` and the"
        f" figures in `cli/cost/figures.toml`. The profile `baseline` has {model.size.devices:,} devices that send"
        f" {model.size.average:,.0f} events a second together for {SHORT:g} hours a day:"
        f" {few.events / 1e6:,.0f} million events a month. All amounts are US dollars a month in us-east-1, at list"
        " prices and without free allowances, commitments or support."
    )
    yield ""
    yield (
        f"**It costs {dollars(model.bill(few).total)} if devices send 10 events in a request, and"
        f" {dollars(model.bill(many).total)} if they send 100.** A test keeps the first below"
        f" {dollars(BUDGETS[10])}, and the second below {dollars(BUDGETS[100])}. `sluice cost` prints"
        " the same for other workloads; `--help` lists what else it prints."
    )
    yield ""
    yield from model.months().as_markdown()
    yield ""
    yield (
        f"The budget (`monthly_budget_usd` of the profile) is {dollars(model.deployed.monthly_budget or 0)}. A month"
        " that is all peak is a worst case, not a plan. `sluice cost --events-per-second 15000 --hours-a-day 24 levers`"
        " weighs the levers for it."
    )
    yield ""
    yield "## What it consists of"
    yield ""
    yield from model.services([few, many]).as_markdown()
    yield ""
    yield "The largest positions, at 10 events a request:"
    yield ""
    yield from model.lines(few, 15).as_markdown()
    yield ""
    yield from model.drivers([few, many]).as_markdown()
    yield ""


def _picture(model: Model) -> Iterator[str]:
    """Draw the services of one bill."""
    bill = model.bill(model.size.workload(events_per_request=10)).by(lambda line: line.service)
    most = max(bill.values())
    yield f"    dollars a month at 10 events a request, {SHORT:g} hours a day"
    for name, usd in bill.items():
        if usd >= most / BAR / 2:
            yield f"    {name:22}{'#' * round(usd / most * BAR):{BAR}} {dollars(usd):>6}"


def _change(model: Model) -> Iterator[str]:
    work = model.size.workload(events_per_request=10)
    yield "## What to change first"
    yield ""
    yield (
        "How many events devices send in a request decides more than any setting. The alarm"
        " `ingest-small-requests` fires when the real number falls below the minimum of the [contract](contracts.md)."
    )
    yield ""
    yield from model.request_sizes(work).as_markdown()
    yield ""
    yield (
        "Each lever with what it saves at 10 events a request. One that is `done` has saved its amount already, one"
        " that is `declined` was weighed and declined for its reason. One that is `an option` is off unless a"
        " deployment asks for it: its amount is what it adds, below zero. Amounts do not add up: two may save the same."
        " Prices are without commitments: a reserved database instance and a savings plan for Lambda lower two of the"
        " largest lines."
    )
    yield ""
    yield from model.levers(work).as_markdown()
    yield ""


def _bounds(model: Model) -> Iterator[str]:
    yield "## What can run away"
    yield ""
    yield (
        "What each thing costs an hour at most, while everything else is as always. `cache-ecpu` fires after five"
        " minutes, `delivery-quota` after fifteen, the other alarms after an hour. `budget` is a message of AWS"
        " Budgets. It compares the sum of the month, and the whole account's, so it may come days later."
    )
    yield ""
    yield from model.bounds().as_markdown()
    yield ""


def _elsewhere(model: Model, large: Model) -> Iterator[str]:
    work = model.size.workload(events_per_request=10)
    yield "## What else there is to buy"
    yield ""
    yield "At the same prices, for the same events."
    yield ""
    yield from model.alternatives(work).as_markdown()
    yield ""
    yield "## Ten times as large"
    yield ""
    yield f"The profile `large`: {large.size.devices:,} devices, {large.size.average:,.0f} events a second."
    yield ""
    yield from large.months().as_markdown()
    yield ""


def _sources(model: Model) -> Iterator[str]:
    yield "## What the model leaves out"
    yield ""
    yield (
        "No stage was ever deployed, so no bill has confirmed these numbers. The model leaves out stored logs, requests"
        " to KMS, logs of brokers and of refused connections, traffic between functions and the database"
        " or the cache in another zone, what runs at a deployment, taxes and people's work. Run times were measured on"
        " a machine that was 2.5 times slower that day than before: Lambda's part is on the high side. A new type of"
        " resource fails a test until `cli/cost/templates.py` says what it costs."
    )
    yield ""
    yield "## Prices"
    yield ""
    yield "Check undated ones against your own price list before you rely on them."
    yield ""
    used = sorted(
        {
            line.price
            for events in (10, 100)
            for line in model.bill(model.size.workload(events_per_request=events)).lines
        }
    )
    rows = [
        (f"`{name}`", _amount(model, name), model.prices[name].unit, model.prices[name].seen, model.prices[name].source)
        for name in used
    ]
    yield from Table(("price", "dollars", "for", "seen", "source"), rows, words=5).as_markdown()
    yield ""
    yield "## Figures"
    yield ""
    yield from Table(("figure", "value", "is", "from"), list(_figures(model.figures)), words=4).as_markdown()


def _amount(model: Model, name: str) -> str:
    price = model.prices[name]
    per = "" if price.per == 1 else f" for {price.per:,.0f}"
    if isinstance(price.usd, list):
        return (
            ", ".join(f"{usd:g} to {end:,.0f}" if end != float("inf") else f"then {usd:g}" for end, usd in price.usd)
            + per
        )
    return f"{price.usd:g}{per}"


def _figures(figures: Figures) -> Iterator[tuple[str, str, str, str]]:
    for name in figures.__struct_fields__:
        found = getattr(figures, name)
        for key, each in found.items() if isinstance(found, dict) else [("", found)]:
            yield f"`{name}{'.' * bool(key)}{key}`", _value(each), each.unit, each.how


def _value(figure: Figure | Curve) -> str:
    if isinstance(figure, Curve):
        return ", ".join(f"{value:g} at {events:g}" for events, value in figure.points)
    return f"{figure.value:g}"
