"""`sluice replay`: plans and applies replays, and shows how far they are."""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.control.client import Client
from cli.control.confirmation import confirm
from cli.control.options import AsJson, AsRole, Reason, Yes, connect
from cli.control.output import show, show_json, show_list
from cli.control.problems import NotThereError
from cli.replay.cost import estimate
from cli.replay.progress import describe_progress, watch_until_over
from cli.stages import CommandError, Directory, Stage, choose

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Compute the past again from raw events: plan, apply, watch, cancel.",
)

BEGIN_SECONDS, BEGIN_TRIES = 30.0, 30
"""How long a first step may take to begin; without one, its execution was refused, and its history says why."""
COLUMNS = ("replay_id", "state", "fleet_id", "from", "to", "claimed_at", "ended_at")

FleetOption = Annotated[
    str | None, typer.Option("--fleet", metavar="FLEET", help="Only this fleet. Without: all fleets.")
]
ReplayName = Annotated[str, typer.Argument(metavar="REPLAY", help="Its id, as `sluice replay list` shows it.")]
PlanFile = Annotated[
    Path, typer.Argument(metavar="PLAN", help="The file that `sluice replay plan` wrote.", exists=True, dir_okay=False)
]


def _read_time(given: str | None) -> str | None:
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise CommandError(f"{given!r} is no time such as 2026-11-30T10:00:00Z", 2) from None
    if moment.tzinfo is None:
        raise CommandError(f"{given!r} names no zone; write it as {given}Z for UTC", 2)
    return moment.isoformat()


@app.command()
def plan(
    fleet: FleetOption = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="The first moment.", callback=_read_time)
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="The end.", callback=_read_time)] = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="The hours of events that aggregate gave up or never counted.")
    ] = False,
    device: Annotated[
        list[str] | None, typer.Option("--device", metavar="DEVICE", help="Only this device; may be repeated.")
    ] = None,
    include_late: Annotated[
        bool, typer.Option("--include-late", help="Count late events in the windows of their own time.")
    ] = False,
    reprocess: Annotated[
        bool, typer.Option("--reprocess", help="Compute every window again, also where its samples are the same.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to write the plan. Without: <replay id>.json.")
    ] = None,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Plan a replay: what it would read, how long it takes, and what it costs. Nothing is replayed.

    The plan is written to a file, which `sluice replay apply` takes. It is valid for 24 hours.
    """
    asked = {
        "fleet_id": fleet,
        "from": since,
        "to": until,
        "device_ids": device or None,
        "include_late": include_late,
        "reprocess": reprocess,
    }
    if missing and any(asked.values()):
        raise CommandError("--missing finds the hours itself: give it no other option", 2)
    if not missing and not (since and until):
        raise CommandError("give --from and --to, or --missing", 2)
    wanted = {"missing": True} if missing else asked
    made = connect(choose(stage, directory), role).change("POST", "replays", "plan", body=wanted)
    file = out or Path(f"replay-{made['hash'][:16]}.json")
    file.write_text(json.dumps(made, indent=2) + "\n")
    if as_json:
        show_json(made)
        return
    show(_summarize(made), as_json=False)
    print(f"\nThe plan is in {file}. Apply it with: sluice replay apply {file}")


@app.command()
def apply(
    plan_file: PlanFile,
    yes: Yes = False,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Apply a plan. The same plan applied twice takes effect once."""
    try:
        given: dict[str, Any] = json.loads(plan_file.read_text())
        summary = _summarize(given)
    except (ValueError, KeyError, TypeError):
        raise CommandError(f"{plan_file} is no plan that `sluice replay plan` wrote", 2) from None
    if not yes:
        show(summary, as_json=False)
        confirm("Replay this?")
    applied = _apply(connect(choose(stage, directory), role), given)
    show(applied, as_json)
    if not as_json:
        print(f"\nWatch it with: sluice replay watch {applied['replay_id']}")


@app.command("list")
def list_replays(stage: Stage = "", directory: Directory = None, role: AsRole = None, as_json: AsJson = False) -> None:
    """List the latest replays, the newest first."""
    show_list(connect(choose(stage, directory), role).list("replays"), COLUMNS, as_json)


@app.command("show")
def show_replay(
    replay: ReplayName, stage: Stage = "", directory: Directory = None, role: AsRole = None, as_json: AsJson = False
) -> None:
    """Show a replay: its plan, how far it is, and what it changed."""
    found = connect(choose(stage, directory), role).get("replays", replay)
    if as_json:
        show_json(found)
    else:
        show(describe_progress(found), as_json=False)


@app.command()
def watch(
    replay: ReplayName, stage: Stage = "", directory: Directory = None, role: AsRole = None, as_json: AsJson = False
) -> None:
    """Watch a replay until it has ended. Returns 1 unless it is done."""
    client = connect(choose(stage, directory), role)
    ended = watch_until_over(lambda: client.get("replays", replay), quiet=as_json)
    if as_json:
        show_json(ended)
    if trouble := ended["counts"].get("trouble"):
        raise CommandError(
            f"{ended['replay_id']} has stopped while {ended['state']}: {trouble}; `sluice replay resume` goes on"
        )
    if ended["state"] != "done":
        raise CommandError(f"{ended['replay_id']} is {ended['state']}: {ended['reason'] or 'no reason is known'}")


@app.command()
def cancel(
    replay: ReplayName,
    reason: Reason,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a replay before its swap: no number has changed then. A swap that has begun is finished."""
    client = connect(choose(stage, directory), role)
    show(client.change("POST", "replays", replay, "cancel", body={"reason": reason}), as_json)


@app.command()
def resume(
    replay: ReplayName, stage: Stage = "", directory: Directory = None, role: AsRole = None, as_json: AsJson = False
) -> None:
    """Apply a replay's plan again: after it was cancelled, failed or was stopped. A swap that had begun goes on."""
    client = connect(choose(stage, directory), role)
    found = client.get("replays", replay)
    show(_apply(client, found["plan"]), as_json)


def _apply(client: Client, made: dict[str, Any]) -> dict[str, Any]:
    """Apply a plan, and wait for the first step, which writes the replay down: then `watch` and `cancel` know it."""
    applied = client.change("POST", "replays", body={"plan": made})
    for _ in range(BEGIN_TRIES):
        try:
            client.get("replays", applied["replay_id"])
        except NotThereError:
            time.sleep(BEGIN_SECONDS / BEGIN_TRIES)
        except CommandError:
            break  # the plan is applied all the same
        else:
            break
    return applied


def _say_seconds(expected: dict[str, Any]) -> str:
    if "seconds_from" not in expected:
        return f"{expected['seconds']:,}"
    least, most = expected["least_seconds"], expected["most_seconds"]
    return f"{expected['seconds']:,}; between {least:,} and {most:,}, by {expected['seconds_from']}"


def _summarize(made: dict[str, Any]) -> dict[str, Any]:
    expected, files = made["expected"], made["files"]
    devices = made["device_ids"]
    return {
        "replay": f"replay-{made['hash'][:16]}",
        "fleet": made["fleet_id"] or "all",
        "devices": "all" if devices is None else " ".join(devices),
        "hours": f"{made['hours']['from']} to {made['hours']['to']}",
        "widened": "; ".join(made["widened"]) or "no",
        "raw files": f"{files['count']:,} with {files['bytes'] / 1e6:,.1f} MB",
        "events": f"{expected['events']:,}",
        "of them duplicates": f"{expected['duplicates']:,}",
        "late": f"{expected['late']:,}, {'counted' if made['include_late'] else 'left out'}",
        "never counted so far": f"{expected['uncounted']:,}",
        "windows": "all computed again" if made["reprocess"] else "only those that change",
        "seconds": _say_seconds(expected),
        "dollars": f"{estimate(made):.4f}",
        "warnings": "; ".join(made["warnings"]) or "none",
    }
