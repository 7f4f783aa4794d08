"""`sluice alerts`: the list, one incident or device, acknowledgement, ends and silences."""

from typing import Annotated, Literal

import typer

from cli.alerts.text import write_device, write_incident
from cli.control.options import AsJson, AsRole, Reason, connect
from cli.control.output import show, show_json, show_list
from cli.stages import CommandError, Directory, Stage, choose
from cli.terminal import make_visible

INCIDENT_COLUMNS = (
    "incident_id",
    "state",
    "severity",
    "fleet_id",
    "rule_id",
    "metric",
    "devices",
    "opened_at",
    "resolved_at",
    "acknowledged_by",
    "held",
)
SILENCE_COLUMNS = ("silence", "fleet_id", "rule_id", "device_id", "until", "principal", "reason")

app = typer.Typer(add_completion=False, help="Incidents: list, show, acknowledge, resolve and silence them.")

IncidentName = Annotated[str, typer.Argument(metavar="INCIDENT", help="Its id, as `sluice alerts list` shows it.")]
Fleet = Annotated[str, typer.Option(metavar="FLEET", help="Only of this fleet.")]


@app.command("list")
def list_incidents(
    fleet: Fleet = "",
    device: Annotated[str, typer.Option(metavar="DEVICE", help="Only with this device.")] = "",
    state: Annotated[Literal["all", "open", "resolved"], typer.Option(help="Only in this state.")] = "all",
    severity: Annotated[
        Literal["all", "info", "warning", "critical"], typer.Option(help="Only of this severity.")
    ] = "all",
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """List incidents, the newest first."""
    asked: dict[str, str] = {"state": state, "severity": severity}
    asked |= {name: value for name, value in (("fleet_id", fleet), ("device_id", device)) if value}
    found = connect(choose(stage, directory), role).list("alerts", **asked)
    show_list(found, INCIDENT_COLUMNS, as_json)


@app.command("show")
def show_incident(
    name: Annotated[
        str, typer.Argument(metavar="INCIDENT", help="An incident's id; or FLEET/DEVICE: why a device did not fire.")
    ],
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Say why someone was woken, or was not: readings, statistics, rule state, group, silences and deliveries."""
    client = connect(choose(stage, directory), role)
    fleet, slash, device = name.partition("/")
    if slash and not device:
        raise CommandError("name a device behind the fleet: FLEET/DEVICE", 2)
    found = client.get("fleets", fleet, "devices", device, "alerts") if slash else client.get("alerts", name)
    if as_json:
        show_json(found)
    else:
        print(*map(make_visible, write_device(found) if slash else write_incident(found)), sep="\n")


@app.command()
def acknowledge(
    incident: IncidentName,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Say that you look after an incident: it is not escalated any more."""
    client = connect(choose(stage, directory), role)
    show(client.change("POST", "alerts", incident, "acknowledge", body={}), as_json)


@app.command()
def resolve(
    incident: IncidentName,
    reason: Reason,
    false_alarm: Annotated[
        bool, typer.Option("--false-alarm", help="Nothing was wrong. Also marks an incident that has ended.")
    ] = False,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Resolve an incident by hand. A device that still breaches opens it again: silence it to stop that."""
    client = connect(choose(stage, directory), role)
    body: dict[str, object] = {"reason": reason} | ({"false_alarm": True} if false_alarm else {})
    show(client.change("POST", "alerts", incident, "resolve", body=body), as_json)


@app.command()
def silence(
    fleet: Annotated[str, typer.Argument(metavar="FLEET", help="The fleet's id.")],
    minutes: Annotated[int, typer.Option(min=1, help="For how long. A message is sent about what is open then.")],
    reason: Reason,
    rule: Annotated[str, typer.Option(metavar="RULE", help="Only this rule.")] = "",
    device: Annotated[str, typer.Option(metavar="DEVICE", help="Only this device.")] = "",
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Silence a fleet, a rule or a device for some minutes."""
    body: dict[str, object] = {"fleet_id": fleet, "minutes": minutes, "reason": reason}
    body |= {name: value for name, value in (("rule_id", rule), ("device_id", device)) if value}
    show(connect(choose(stage, directory), role).change("POST", "silences", body=body), as_json)


@app.command()
def silences(
    fleet: Fleet = "",
    ended: Annotated[bool, typer.Option("--ended", help="Those that have ended too.")] = False,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """List the silences that hold, and when each ends."""
    asked = {"ended": "true" if ended else "false"} | ({"fleet_id": fleet} if fleet else {})
    show_list(connect(choose(stage, directory), role).list("silences", **asked), SILENCE_COLUMNS, as_json)


@app.command("end-silence")
def end_silence(
    number: Annotated[str, typer.Argument(metavar="SILENCE", help="Its number, as `sluice alerts silences` shows it.")],
    reason: Reason,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """End a silence now. A message is sent about what is open, within a minute."""
    client = connect(choose(stage, directory), role)
    show(client.change("POST", "silences", number, "end", body={"reason": reason}), as_json)
