"""`sluice destinations`: where people are notified of incidents."""

from typing import Annotated

import typer

from cli.control.confirmation import confirm
from cli.control.options import (
    AsJson,
    AsRole,
    DryRun,
    Reason,
    Version,
    Yes,
    check_fleet,
    check_id,
    connect,
    keep_given,
)
from cli.control.output import show, show_change, show_json, show_list
from cli.stages import CommandError, Directory, Stage, choose
from sluice.core.control.destinations import MOST_MINUTES, DestinationId
from sluice.core.detect.series_rules import Severity
from sluice.core.notify.destinations import DestinationKind

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="List, create, change, test and archive where people are notified. Each change and test is in the audit.",
)

COLUMNS = ("destination_id", "state", "fleet_id", "kind", "secret", "least_severity", "after_minutes")

UNKNOWN = "Whether the message was sent is not known: look at the destination before you test it again."


def _check_destination(given: str) -> str:
    return check_id(given, DestinationId, "destination")


DestinationName = Annotated[
    str, typer.Argument(metavar="DESTINATION", help="The destination's id.", callback=_check_destination)
]
Least = Annotated[
    Severity | None,
    typer.Option("--least-severity", help="Notify of incidents of this severity and worse ones. A new one: warning."),
]
After = Annotated[
    int | None,
    typer.Option(
        "--after-minutes",
        metavar="MINUTES",
        min=0,
        max=MOST_MINUTES,
        help="Notify only of incidents that no one has acknowledged for so many minutes. A new one: 0, at once.",
    ),
]
_SECRET = typer.Option(
    "--secret",
    metavar="NAME",
    help="The name of a secret in Secrets Manager, which begins with sluice-STAGE-destinations/. It holds the address.",
)


@app.command("list")
def list_destinations(
    stage: Stage = "", directory: Directory = None, role: AsRole = None, as_json: AsJson = False
) -> None:
    """List the destinations.

    The JSON has them as items, each a Destination of schemas/admin.yaml.
    """
    show_list(connect(choose(stage, directory), role).list("destinations"), COLUMNS, as_json)


@app.command("show")
def show_destination(
    destination: DestinationName,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Show a destination.

    The JSON is a Destination of schemas/admin.yaml.
    """
    show(connect(choose(stage, directory), role).get("destinations", destination), as_json)


@app.command()
def create(
    destination: DestinationName,
    kind: Annotated[DestinationKind, typer.Option("--kind", help="The form in which it reads messages.")],
    secret: Annotated[str, _SECRET],
    fleet: Annotated[
        str | None,
        typer.Option("--fleet", metavar="FLEET", help="Only incidents of this fleet.", callback=check_fleet),
    ] = None,
    least_severity: Least = None,
    after_minutes: After = None,
    dry_run: DryRun = False,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Create a destination.

    Store its secret first: no one checks here whether it exists. An id is never used again. The JSON is a Destination
    of schemas/admin.yaml, or with --dry-run a DryRun.
    """
    wanted = {"destination_id": destination, "kind": kind, "secret": secret} | keep_given(
        fleet_id=fleet, least_severity=least_severity, after_minutes=after_minutes
    )
    client = connect(choose(stage, directory), role)
    show_change(client.change("POST", "destinations", body=wanted, dry_run=dry_run), as_json)


@app.command()
def change(
    destination: DestinationName,
    secret: Annotated[str | None, _SECRET] = None,
    least_severity: Least = None,
    after_minutes: After = None,
    if_version: Version = None,
    dry_run: DryRun = False,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Change a destination's secret, its least severity, or after how long it is notified.

    What is not given stays. The JSON is a Destination of schemas/admin.yaml, or with --dry-run a DryRun.
    """
    wanted = keep_given(secret=secret, least_severity=least_severity, after_minutes=after_minutes)
    if not wanted:
        raise CommandError("say what to change, for example --least-severity; --help lists the settings", 2)
    client = connect(choose(stage, directory), role)
    place = ("destinations", destination)
    version = if_version or client.find_version(*place)
    answer = client.change("PATCH", *place, body=wanted, version=version, dry_run=dry_run)
    show_change(answer, as_json)


@app.command()
def archive(
    destination: DestinationName,
    reason: Reason,
    yes: Yes = False,
    if_version: Version = None,
    dry_run: DryRun = False,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Archive a destination, for good: no one is notified there any more.

    The JSON is a Destination of schemas/admin.yaml, or with --dry-run a DryRun.
    """
    client = connect(choose(stage, directory), role)
    place = ("destinations", destination)
    version = if_version or client.find_version(*place)
    if not yes and not dry_run:
        confirm(f"Archive destination {destination}, version {version}? This cannot be undone.")
    answer = client.change("POST", *place, "archive", body={"reason": reason}, version=version, dry_run=dry_run)
    show_change(answer, as_json)


@app.command("test")
def send_test(
    destination: DestinationName,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Send a test message to a destination now, and show what came of it.

    The message says that it is a test. It is sent once, without an incident. PagerDuty and an HTTPS server get a second
    one, which ends what the first opened. A destination is tested once a minute. It ends with 1 if the message was not
    delivered. The JSON is a DestinationTest of schemas/admin.yaml.
    """
    answer = connect(choose(stage, directory), role).change("POST", "destinations", destination, "test", once=UNKNOWN)
    if as_json:
        show_json(answer)
    else:
        print(f"{destination}: {answer['outcome']} after {answer['seconds']:.1f} s. {answer['detail']}.")
    if answer["outcome"] != "delivered":
        raise typer.Exit(1)
