"""Show how a stage is doing."""

import json
from typing import Annotated

import typer

from cli.health import Health, ask_deployed, ask_local
from cli.stages import Directory, Stage, choose
from cli.terminal import make_visible


def run(
    as_json: Annotated[bool, typer.Option("--json", help="Print the same as one JSON object.")] = False,
    stage: Stage = "",
    directory: Directory = None,
) -> None:
    """Show how a stage is doing.

    Of the local stack: whether it answers, how old the newest counted event is, which share of requests is refused, and
    how many records each consumer has not read. Of a deployed stage: whether it answers, and its alarms that are in
    ALARM. It ends with 1 if anything is wrong or cannot be asked. In JSON, what cannot be asked is null and stands in
    `problems` with the reason.
    """
    target = choose(stage, directory)
    health = ask_deployed(target) if target.stage else ask_local(target)
    print(json.dumps(health.as_document()) if as_json else "\n".join(write_text(health)))
    if not health.good:
        raise typer.Exit(1)


def write_text(health: Health) -> list[str]:
    """Write it for people, a line for each part that this kind of stage has."""
    lines = [("stage", f"{health.stage}, {health.api}")]
    told = {
        "health": health.health,
        "freshness": None if health.freshness_seconds is None else f"{health.freshness_seconds:,.1f} s",
        "refused": None if health.refused_share is None else f"{health.refused_share:.0%} of requests",
        "unread": None if health.unread is None else ", ".join(f"{who} {lag:,}" for who, lag in health.unread.items()),
        "alarms": None if health.alarms is None else f"{len(health.alarms) or 'none'} in ALARM",
    }
    if health.is_local and told["freshness"] is None and "freshness" not in health.problems:
        told["freshness"] = "no event was counted yet"
    lines += [(part, make_visible(said)) for part, said in told.items() if said is not None]
    lines += [("", f"{alarm.name} since {alarm.since}: {make_visible(alarm.why)}") for alarm in health.alarms or ()]
    lines += [(part, f"unknown: {make_visible(why)}") for part, why in health.problems.items()]
    return [f"{part:10} {said}".rstrip() for part, said in lines]
