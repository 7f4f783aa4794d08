"""`sluice rules`: when readings of a fleet open an incident."""

import math
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
    check_id,
    connect,
    keep_given,
)
from cli.control.output import show, show_change, show_json, show_list
from cli.rules.text import REPORT_COLUMNS, describe_version, write_promise
from cli.stages import CommandError, Directory, Stage, choose
from sluice.core.detect.series_rules import MOST_OF, RuleId, RuleKind, Severity

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="List, create, change and archive the rules that open incidents. Each change is in the audit.",
)

COLUMNS = (
    "rule_id",
    "state",
    "kind",
    "metric",
    "device_type",
    "device_id",
    "open",
    "clear",
    "unit",
    "severity",
    "promise",
)


def _check_rule(given: str) -> str:
    return check_id(given, RuleId, "rule")


def _check_number(given: float | None) -> float | None:
    if given is not None and not math.isfinite(given):
        raise CommandError(f"{given} is no number that a reading can have", 2)
    return given


RuleName = Annotated[
    str, typer.Argument(metavar="RULE", help="The rule's id, unique in its fleet.", callback=_check_rule)
]
_OPEN = typer.Option(
    "--open",
    metavar="NUMBER",
    callback=_check_number,
    help="Beyond it a reading is a breach: a value (above, below), deviations (zscore, baseline, level), a share"
    " (range, stuck) or usual intervals without a reading (silence).",
)
Clear = Annotated[
    float | None,
    typer.Option(
        "--clear",
        metavar="NUMBER",
        callback=_check_number,
        help="From here on, towards the usual, a reading is clear again. A new rule: as --open.",
    ),
]
Unit = Annotated[
    str | None,
    typer.Option("--unit", help="The unit of --open and --clear, such as degF. Without: that of the series."),
]
Breaches = Annotated[
    int | None,
    typer.Option(
        "--breaches", min=1, max=MOST_OF, help="How many of the latest readings must be breaches. A new rule: 1."
    ),
]
Of = Annotated[
    int | None,
    typer.Option("--of", min=1, max=MOST_OF, help="How many of the latest readings are looked at. A new rule: 1."),
]
How = Annotated[Severity | None, typer.Option("--severity", help="How severe its incidents are. A new rule: warning.")]


@app.command("list")
def list_rules(
    fleet: FleetName, stage: Stage = "", directory: Directory = None, role: AsRole = None, as_json: AsJson = False
) -> None:
    """List a fleet's rules.

    The JSON has them as items, each a Rule of schemas/admin.yaml.
    """
    found = connect(choose(stage, directory), role).list("fleets", fleet, "rules")
    shown = found if as_json else (each | {"promise": write_promise(each.get("promise"))} for each in found)
    show_list(shown, COLUMNS, as_json)


@app.command("show")
def show_rule(
    fleet: FleetName,
    rule: RuleName,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Show a rule.

    The JSON is a Rule of schemas/admin.yaml.
    """
    found = connect(choose(stage, directory), role).get("fleets", fleet, "rules", rule)
    show(found if as_json else found | {"promise": write_promise(found.get("promise"))}, as_json)


@app.command()
def report(
    fleet: FleetName, stage: Stage = "", directory: Directory = None, role: AsRole = None, as_json: AsJson = False
) -> None:
    """Report what each version of a fleet's rules promised, and how many incidents it has opened in the last 30 days.

    The JSON has them as items, each a RuleReport of schemas/admin.yaml.
    """
    found = connect(choose(stage, directory), role).get("fleets", fleet, "rule-report")
    if as_json:
        show_json(found)
    else:
        show_list(map(describe_version, found["items"]), REPORT_COLUMNS, as_json=False)


@app.command()
def create(
    fleet: FleetName,
    rule: RuleName,
    kind: Annotated[RuleKind, typer.Option("--kind", help="What makes a reading a breach.")],
    open_: Annotated[float, _OPEN],
    metric: Annotated[str | None, typer.Option("--metric", help="The series. All kinds but silence need it.")] = None,
    device_type: Annotated[
        str | None, typer.Option("--device-type", metavar="TYPE", help="Only devices of this type.")
    ] = None,
    device: Annotated[str | None, typer.Option("--device", metavar="DEVICE", help="Only this device.")] = None,
    clear: Clear = None,
    unit: Unit = None,
    breaches: Breaches = None,
    of: Of = None,
    severity: How = None,
    dry_run: DryRun = False,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Create a rule for the devices of a fleet, of a type of device, or for one device.

    For a series and a kind, a device's own rule counts, then that of its type, then that of the fleet. An id is never
    used again. The JSON is a Rule of schemas/admin.yaml, or with --dry-run a DryRun.
    """
    wanted = {"rule_id": rule, "kind": kind, "open": open_} | keep_given(
        metric=metric,
        device_type=device_type,
        device_id=device,
        clear=clear,
        unit=unit,
        breaches=breaches,
        of=of,
        severity=severity,
    )
    client = connect(choose(stage, directory), role)
    show_change(client.change("POST", "fleets", fleet, "rules", body=wanted, dry_run=dry_run), as_json)


@app.command()
def change(
    fleet: FleetName,
    rule: RuleName,
    open_: Annotated[float | None, _OPEN] = None,
    clear: Clear = None,
    unit: Unit = None,
    breaches: Breaches = None,
    of: Of = None,
    severity: How = None,
    if_version: Version = None,
    dry_run: DryRun = False,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Change when a rule opens an incident, and how severe that is.

    What is not given stays. Its kind, its series and its devices never change: make another rule. The JSON is a Rule of
    schemas/admin.yaml, or with --dry-run a DryRun.
    """
    wanted = keep_given(open=open_, clear=clear, unit=unit, breaches=breaches, of=of, severity=severity)
    if not wanted:
        raise CommandError("say what to change, for example --open; --help lists the settings", 2)
    client = connect(choose(stage, directory), role)
    place = ("fleets", fleet, "rules", rule)
    version = if_version or client.find_version(*place)
    show_change(client.change("PATCH", *place, body=wanted, version=version, dry_run=dry_run), as_json)


@app.command()
def archive(
    fleet: FleetName,
    rule: RuleName,
    reason: Reason,
    yes: Yes = False,
    if_version: Version = None,
    dry_run: DryRun = False,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Archive a rule, for good: it opens no incident any more.

    The JSON is a Rule of schemas/admin.yaml, or with --dry-run a DryRun.
    """
    client = connect(choose(stage, directory), role)
    place = ("fleets", fleet, "rules", rule)
    version = if_version or client.find_version(*place)
    if not yes and not dry_run:
        confirm(f"Archive rule {rule} of fleet {fleet}, version {version}? This cannot be undone.")
    answer = client.change("POST", *place, "archive", body={"reason": reason}, version=version, dry_run=dry_run)
    show_change(answer, as_json)
