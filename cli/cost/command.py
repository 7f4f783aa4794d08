"""`sluice cost`: what a deployment costs a month."""

import asyncio
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.cost.actual import read_actual
from cli.cost.figures import load_figures
from cli.cost.page import write_page
from cli.cost.prices import load_prices
from cli.cost.report import Model
from cli.cost.share import Use, share
from cli.cost.tables import Table, dollars
from cli.cost.templates import Deployed, read_templates
from cli.cost.workload import HOURS, SIZES, Workload
from cli.stages import CommandError, Directory, Stage, choose
from local.processes import StackError
from local.synthesis import synthesize
from local.template import Assembly, TemplateError

app = typer.Typer(
    add_completion=False,
    help="What a deployment costs a month, by its templates and AWS's list prices.",
)

MOST_LINES = 20


@app.callback(invoke_without_command=True)
def month(
    context: typer.Context,
    profile: Annotated[str, typer.Option(help=f"one of {', '.join(SIZES)}")] = "baseline",
    templates: Annotated[
        Path | None, typer.Option(help="a directory of synthesized templates; else they are made")
    ] = None,
    events_per_second: Annotated[
        float | None, typer.Option(min=0.001, help="while devices report; else the profile's average")
    ] = None,
    events_per_request: Annotated[float, typer.Option(min=1)] = 10,
    hours_a_day: Annotated[float, typer.Option(min=0.1, max=24, help="in which devices report")] = 14,
) -> None:
    """Print a month's bill: by service, by what it grows with, and its largest positions."""
    if profile not in SIZES:
        raise CommandError(f"{profile!r} is no profile that is deployed: choose one of {', '.join(SIZES)}", 2)
    size = SIZES[profile]
    work = Workload(size.devices, events_per_second or size.average, hours_a_day, events_per_request)

    def describe() -> tuple[Model, Workload]:
        return Model(_read(profile, templates), size, load_figures(), load_prices()), work

    # Synthesis takes seconds: a command asks for it after it has checked its own options.
    context.obj = describe
    if context.invoked_subcommand is not None:
        return
    model, work = describe()
    print(
        f"Profile {profile}: {work.events_per_second:,.0f} events a second for {work.hours_a_day:g} h a day,"
        f" {work.events_per_request:g} in a request. {work.events / 1e6:,.0f} million events a month."
    )
    total = model.bill(work).total
    budget = model.deployed.monthly_budget
    compared = "" if budget is None else f", of a budget of {dollars(budget)}"
    print(f"{dollars(total)} dollars a month{compared}; {total / work.events * 1e6:.2f} for a million events.")
    _show(model.services([work]), model.drivers([work]), model.lines(work, MOST_LINES), model.months())


@app.command()
def levers(context: typer.Context) -> None:
    """List what would change the bill, and what it is worth."""
    model, work = _described(context)
    _show(model.levers(work), model.request_sizes(work))


@app.command()
def caps(context: typer.Context) -> None:
    """List what can run away, how far, and which alarm fires."""
    model, _ = _described(context)
    _show(model.bounds())


@app.command()
def compare(context: typer.Context) -> None:
    """Compare with what else could be bought for the same events."""
    model, work = _described(context)
    _show(model.alternatives(work))


@app.command()
def fleet(
    context: typer.Context,
    events: Annotated[float, typer.Option(min=1, help="that the fleet sent")],
    requests: Annotated[float, typer.Option(min=1, help="in which it sent them")],
    hours: Annotated[float, typer.Option(min=0.01, help="how long that took, of a month of 730")] = 730,
) -> None:
    """Print one fleet's part of the bill.

    The options before the command describe the bill.
    """
    if requests > events:
        raise CommandError(f"{requests:,.0f} requests have at least as many events, and not {events:,.0f}", 2)
    model, work = _described(context)
    part = share(model.bill(work), work, Use(events, requests), hours / HOURS)
    print(f"{dollars(part.total)} dollars: {dollars(part.caused)} by its own requests and events,")
    print(f"{dollars(part.shared)} as its part, by events, of what is there for all fleets.")


@app.command()
def actual(
    context: typer.Context,
    stage: Stage = "",
    directory: Directory = None,
) -> None:
    """Print what today has cost so far.

    By the events and requests of a stage, at the prices of the profile.
    """
    done = read_actual(choose(stage, directory), datetime.now(UTC))
    model, _ = _described(context)
    events = sum(done.events.values())
    work = Workload(model.size.devices, events / done.hours / 3600, 24, events / done.requests)
    bill, months = model.bill(work), done.hours / HOURS
    print(
        f"{done.hours:.2f} hours, {events:,} events in {done.requests:,.0f} requests: {work.events_per_request:.1f} in"
        f" a request. {dollars(bill.total * months)} dollars, as if the profile were deployed; what is there without"
        " events is most of it where there are few."
    )
    rows = []
    for name, of_fleet in done.events.items():
        part = share(bill, work, Use(of_fleet, done.requests * of_fleet / events), months)
        rows.append((name, f"{of_fleet:,}", f"{part.caused:.4f}", f"{part.shared:.4f}"))
    _show(Table(("fleet", "events", "by its requests and events", "its part of the rest"), rows))


@app.command()
def page(context: typer.Context) -> None:
    """Print the page docs/cost.md.

    It is about the profiles baseline and large.
    """
    if context.parent is None or context.parent.params["profile"] != "baseline":
        raise CommandError("the page is about the profiles baseline and large: leave --profile out", 2)
    model, _ = _described(context)
    large = Model(_read("large", None), SIZES["large"], model.figures, model.prices)
    print(write_page(model, large), end="")


def _described(context: typer.Context) -> tuple[Model, Workload]:
    found: tuple[Model, Workload] = context.obj()
    return found


def _show(*tables: Table) -> None:
    for table in tables:
        print()
        print("\n".join(table.as_text()))


def _read(profile: str, templates: Path | None) -> Deployed:
    try:
        if templates is not None:
            return read_templates(Assembly.load(templates))
        with tempfile.TemporaryDirectory() as directory:
            place = Path(directory)
            return read_templates(asyncio.run(synthesize(place / "cdk.out", profile, place)))
    except FileNotFoundError as error:
        raise CommandError(f"{templates} holds no synthesized templates: {error}", 2) from error
    except (StackError, TemplateError) as error:
        raise CommandError(str(error)) from error
