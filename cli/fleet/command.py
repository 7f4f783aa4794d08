"""`sluice fleet`: fleets, their quotas and home regions."""

from typing import Annotated

import typer

from cli.control.confirmation import confirm
from cli.control.options import (
    AsJson,
    AsRole,
    DryRun,
    FleetName,
    Reason,
    Version,
    Yes,
    check_region,
    connect,
    keep_given,
)
from cli.control.output import show, show_change, show_list
from cli.stages import CommandError, Directory, Stage, choose
from sluice.core.control.fleets import LEAST_RATE, MOST_RATE

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="List, create, change and archive fleets. Each change is in the audit.",
)

COLUMNS = ("fleet_id", "state", "events_per_second", "rejects_per_second", "home_region", "version")

Events = Annotated[
    float | None,
    typer.Option(
        "--events-per-second",
        metavar="RATE",
        min=LEAST_RATE,
        max=MOST_RATE,
        help="How many events a second it may send. A new fleet: 1000.",
    ),
]
Rejects = Annotated[
    float | None,
    typer.Option(
        "--rejects-per-second",
        metavar="RATE",
        min=LEAST_RATE,
        max=MOST_RATE,
        help="How many of its events a second may be rejected. A new fleet: 50.",
    ),
]
Region = Annotated[
    str | None,
    typer.Option(
        "--home-region",
        metavar="REGION",
        help="Where its data must stay. A deployment in another region refuses all of its keys.",
        callback=check_region,
    ),
]
Retention = Annotated[
    int | None,
    typer.Option(
        "--retention-days",
        metavar="DAYS",
        help="The class of its raw events: 30, 90, 180, 365 or 730. Until delivery has classes, it is only recorded.",
    ),
]
DeviceType = Annotated[
    str | None,
    typer.Option("--device-type", metavar="TYPE", help="The type of its devices, where the directory names none."),
]


@app.command("list")
def list_fleets(stage: Stage = "", directory: Directory = None, role: AsRole = None, as_json: AsJson = False) -> None:
    """List the fleets.

    The JSON has them as items, each a Fleet of schemas/admin.yaml.
    """
    show_list(connect(choose(stage, directory), role).list("fleets"), COLUMNS, as_json)


@app.command("show")
def show_fleet(
    fleet: FleetName,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Show a fleet.

    The JSON is a Fleet of schemas/admin.yaml.
    """
    show(connect(choose(stage, directory), role).get("fleets", fleet), as_json)


@app.command()
def create(
    fleet: FleetName,
    events_per_second: Events = None,
    rejects_per_second: Rejects = None,
    home_region: Region = None,
    retention_days: Retention = None,
    device_type: DeviceType = None,
    dry_run: DryRun = False,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Create a fleet.

    An id is never used again, even after its fleet is archived. The JSON is a Fleet of schemas/admin.yaml, or with
    --dry-run a DryRun.
    """
    wanted = {"fleet_id": fleet} | keep_given(
        events_per_second=events_per_second,
        rejects_per_second=rejects_per_second,
        home_region=home_region,
        retention_days=retention_days,
        device_type=device_type,
    )
    show_change(connect(choose(stage, directory), role).change("POST", "fleets", body=wanted, dry_run=dry_run), as_json)


@app.command()
def change(
    fleet: FleetName,
    events_per_second: Events = None,
    rejects_per_second: Rejects = None,
    home_region: Region = None,
    retention_days: Retention = None,
    device_type: DeviceType = None,
    if_version: Version = None,
    dry_run: DryRun = False,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Change a fleet's settings.

    What is not given stays. Ingest uses a new quota within half a minute. The JSON is a Fleet of schemas/admin.yaml,
    or with --dry-run a DryRun.
    """
    wanted = keep_given(
        events_per_second=events_per_second,
        rejects_per_second=rejects_per_second,
        home_region=home_region,
        retention_days=retention_days,
        device_type=device_type,
    )
    if not wanted:
        raise CommandError("say what to change, for example --events-per-second; --help lists the settings", 2)
    client = connect(choose(stage, directory), role)
    version = if_version or client.find_version("fleets", fleet)
    show_change(client.change("PATCH", "fleets", fleet, body=wanted, version=version, dry_run=dry_run), as_json)


@app.command()
def archive(
    fleet: FleetName,
    reason: Reason,
    yes: Yes = False,
    if_version: Version = None,
    dry_run: DryRun = False,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Archive a fleet and revoke its keys, for good.

    Its data stays. The JSON is a Fleet of schemas/admin.yaml with revoked_keys, or with --dry-run a DryRun.
    """
    client = connect(choose(stage, directory), role)
    version = if_version or client.find_version("fleets", fleet)
    if not yes and not dry_run:
        confirm(f"Archive fleet {fleet}, version {version}, and revoke its keys? This cannot be undone.")
    body = {"reason": reason}
    answer = client.change("POST", "fleets", fleet, "archive", body=body, version=version, dry_run=dry_run)
    show_change(answer, as_json)
