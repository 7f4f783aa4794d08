"""`sluice dead-letters`: the list, the groups, why one failed, which fix would pass, and re-drives."""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli.control.client import Client
from cli.control.confirmation import confirm
from cli.control.options import AsJson, AsRole, DryRun, Reason, Yes, connect
from cli.control.output import show, show_json, show_list
from cli.dead_letters import listing
from cli.dead_letters.progress import describe_redrive, watch_until_over
from cli.dead_letters.search import read_time
from cli.dead_letters.text import write_breaches, write_fix
from cli.stages import CommandError, Directory, Stage, choose
from cli.terminal import make_visible
from sluice.core.times import write_time

LIST = "list"
GROUP_COLUMNS = (
    "group_id",
    "state",
    "letters",
    "fleet_id",
    "consumer",
    "reason",
    "path",
    "rule",
    "contract",
    "firmware",
    "first",
    "last",
)
REDRIVE_COLUMNS = ("redrive_id", "state", "group_id", "fleet_id", "consumer", "claimed_at", "ended_at", "reason")


class Listing(TyperGroup):
    """The commands; without the name of one, it is the list."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take anything that names no command as the list's own arguments."""
        named = args and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else [LIST, *args])


app = typer.Typer(
    cls=Listing,
    add_completion=False,
    help="List what was refused or given up; group, explain, fix and re-drive it. Without a command: list.",
)
app.command(LIST)(listing.run)

Since = Annotated[
    str, typer.Option("--from", metavar="TIME", help="Letters that failed then or later. Without: a day before --to.")
]
Until = Annotated[str, typer.Option("--to", metavar="TIME", help="Letters that failed before then. Without: now.")]
GroupName = Annotated[
    str, typer.Option("--group", metavar="GROUP", help="The group's id, as `sluice dead-letters groups` shows it.")
]
RedriveName = Annotated[str, typer.Argument(metavar="REDRIVE", help="Its id, as `sluice dead-letters redrives` shows.")]
FixFile = Annotated[
    str,
    typer.Option(
        "--fix",
        metavar="FILE",
        help="A file with verbs, as `sluice dead-letters propose --json` has them under fix; or the word proposal."
        " Without: the events are sent as they are, to be judged by the contracts of now. Records that a consumer gave"
        " up take no fix.",
    ),
]


@app.command()
def groups(
    fleet: Annotated[str, typer.Option(metavar="FLEET", help="Only of this fleet.")] = "",
    since: Since = "",
    until: Until = "",
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Group letters by what failed: fleet, consumer, reason, path, rule, contract and firmware."""
    asked = _range(since, until) | ({"fleet_id": fleet} if fleet else {})
    found = connect(choose(stage, directory), role).get("dead-letters", "groups", **asked)
    if as_json:
        show_json(found)
        return
    show_list(found["items"], GROUP_COLUMNS, as_json=False)
    if not found["complete"]:
        print("Not all letters could be read in time: --from and --to ask for a shorter range.", file=sys.stderr)
    if len(found["items"]) < found["found"]:
        print(f"{len(found['items'])} of {found['found']} groups, the largest first", file=sys.stderr)


@app.command()
def explain(
    letter: Annotated[str, typer.Argument(metavar="ID", help="The letter's id; its first 12 digits are enough.")],
    since: Since = "",
    until: Until = "",
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Explain a letter: each rule that it breaks, the value there, and what would pass."""
    client = connect(choose(stage, directory), role)
    found = client.get("dead-letters", "letters", letter, **_range(since, until))
    if as_json:
        show_json(found)
    else:
        show({name: value for name, value in found.items() if name != "breaches"}, as_json=False)
        print(*map(make_visible, write_breaches(found["breaches"])), sep="\n")


@app.command()
def propose(
    group: GroupName,
    since: Since = "",
    until: Until = "",
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Propose a fix for a group, with the share of its letters that would then pass. Nothing is changed."""
    found = _propose(connect(choose(stage, directory), role), group, _range(since, until))
    if as_json:
        show_json(found)
    else:
        print(*map(make_visible, write_fix(found)), sep="\n")


@app.command()
def redrive(
    group: GroupName,
    reason: Reason,
    fix: FixFile = "",
    since: Since = "",
    until: Until = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Wait until it has ended; return 1 unless it is done.")
    ] = False,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Fix the events of a group and send them through validation again, with their original time of reception.

    Records that archive or aggregate gave up go to that consumer alone, as they were.
    """
    client, range_ = connect(choose(stage, directory), role), _range(since, until)
    verbs = _read_fix(client, fix, group, range_)
    body = {"group_id": group, **range_, "fix": verbs, "reason": reason}
    if dry_run or not yes:
        measured = client.change("POST", "redrives", body=body, dry_run=True)
        if dry_run and as_json:
            show_json(measured)
            return
        print(*map(make_visible, write_fix(measured)), sep="\n", file=sys.stdout if dry_run else sys.stderr)
        if dry_run:
            return
        confirm("Re-drive this group?")
    begun = client.change("POST", "redrives", body=body)
    if watch:
        _watch(client, begun["redrive_id"], as_json=as_json)
        return
    show(begun if as_json else describe_redrive(begun), as_json)
    if not as_json:
        print(f"\nWatch it with: sluice dead-letters redrives {begun['redrive_id']} --watch")


@app.command()
def redrives(
    name: Annotated[str, typer.Argument(metavar="REDRIVE", help="Show this one. Without: list the latest.")] = "",
    watch: Annotated[
        bool, typer.Option("--watch", help="Wait until it has ended; return 1 unless it is done.")
    ] = False,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """List the latest re-drives, or show one and how far it is."""
    client = connect(choose(stage, directory), role)
    if not name:
        if watch:
            raise CommandError("--watch takes the id of a re-drive", 2)
        show_list(client.list("redrives"), REDRIVE_COLUMNS, as_json)
    elif watch:
        _watch(client, name, as_json=as_json)
    else:
        found = client.get("redrives", name)
        show(found if as_json else describe_redrive(found), as_json)


@app.command()
def cancel(
    redrive: RedriveName,
    reason: Reason,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """End a re-drive where it is. The events that it has sent stay."""
    client = connect(choose(stage, directory), role)
    ended = client.change("POST", "redrives", redrive, "cancel", body={"reason": reason})
    show(ended if as_json else describe_redrive(ended), as_json)


def _watch(client: Client, name: str, *, as_json: bool) -> None:
    ended = watch_until_over(lambda: client.get("redrives", name), quiet=as_json)
    show(ended if as_json else describe_redrive(ended), as_json)
    if ended["state"] != "done":
        raise CommandError(f"{name} is {ended['state']}: {ended['trouble'] or 'see its counts'}")


def _propose(client: Client, group: str, range_: dict[str, str]) -> dict[str, Any]:
    return client.get("dead-letters", "groups", group, "proposal", **range_)


def _read_fix(client: Client, given: str, group: str, range_: dict[str, str]) -> list[Any]:
    if not given:
        return []
    if given == "proposal":
        proposed: list[Any] = _propose(client, group, range_)["fix"]
        if not proposed:
            raise CommandError("there is no proposal under which more of the group's letters would pass", 2)
        return proposed
    try:
        read = json.loads(Path(given).read_text())
    except (OSError, ValueError) as error:
        raise CommandError(f"{given} cannot be read as a fix: {error}", 2) from None
    verbs = read.get("fix") if isinstance(read, dict) else read
    if not isinstance(verbs, list):
        raise CommandError(f"{given} holds no list of verbs", 2)
    return verbs


def _range(since: str, until: str) -> dict[str, str]:
    end = read_time("--to", until) if until else datetime.now(UTC)
    start = read_time("--from", since) if since else end - timedelta(days=1)
    return {"from": write_time(start), "to": write_time(end)}
