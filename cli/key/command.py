"""`sluice key`: the keys with which a fleet's devices and readers are let in."""

import sys
from typing import Annotated, Any

import msgspec
import typer

from cli.control.confirmation import confirm
from cli.control.options import (
    AsJson,
    AsRole,
    DryRun,
    FleetName,
    KeyName,
    Reason,
    Yes,
    connect,
    keep_given,
)
from cli.control.output import show, show_change, show_json, show_list
from cli.functions import read_answer
from cli.stages import CommandError, Directory, Stage, choose
from sluice.core.control.api_keys import LEAST_DAYS, MOST_DAYS, Role

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="List, create, rotate and revoke fleets' keys. Each change is in the audit.",
)

COLUMNS = ("key_id", "role", "state", "expires_at", "successor")


@app.command("list")
def list_keys(
    fleet: FleetName,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """List a fleet's keys, without their texts.

    The JSON has them as items, each a Key of schemas/admin.yaml.
    """
    show_list(connect(choose(stage, directory), role).list("fleets", fleet, "keys"), COLUMNS, as_json)


@app.command("show")
def show_key(
    fleet: FleetName,
    key_id: KeyName,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Show a key, without its text.

    The JSON is a Key of schemas/admin.yaml.
    """
    show(connect(choose(stage, directory), role).get("fleets", fleet, "keys", key_id), as_json)


@app.command()
def create(
    fleet: FleetName,
    key_role: Annotated[Role, typer.Option("--role", help="A device posts events, a reader asks for numbers.")],
    expires_in_days: Annotated[
        float | None,
        typer.Option(
            metavar="DAYS",
            min=LEAST_DAYS,
            max=MOST_DAYS,
            help="Without: a device's key never expires, a reader's does after 90 days.",
        ),
    ] = None,
    dry_run: DryRun = False,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and print its text, which is shown only once.

    Standard output has the text alone, so that it can be piped into a store of secrets. The
    JSON is a MadeKey of schemas/admin.yaml, whose member key is the text, or with --dry-run a DryRun.
    """
    wanted = {"role": key_role} | keep_given(expires_in_days=expires_in_days)
    client = connect(choose(stage, directory), role)
    _hand_over(client.change("POST", "fleets", fleet, "keys", body=wanted, dry_run=dry_run), as_json)


@app.command()
def rotate(
    fleet: FleetName,
    key_id: KeyName,
    dry_run: DryRun = False,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Give a key a successor and print the successor's text, which is shown only once.

    Both keys work until the time that standard error names: seven days, unless the deployment says otherwise. The JSON
    is a MadeKey of schemas/admin.yaml, whose member key is the text, or with --dry-run a DryRun.
    """
    client = connect(choose(stage, directory), role)
    _hand_over(client.change("POST", "fleets", fleet, "keys", key_id, "rotate", dry_run=dry_run), as_json)


@app.command()
def revoke(
    fleet: FleetName,
    key_id: KeyName,
    reason: Reason,
    yes: Yes = False,
    dry_run: DryRun = False,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a key, for good.

    Ingest, query and trace refuse it within half a minute. The JSON is a Key of schemas/admin.yaml, or with
    --dry-run a DryRun.
    """
    if not yes and not dry_run:
        confirm(f"Revoke key {key_id} of fleet {fleet}? Its users lose access, and this cannot be undone.")
    client = connect(choose(stage, directory), role)
    answer = client.change("POST", "fleets", fleet, "keys", key_id, "revoke", body={"reason": reason}, dry_run=dry_run)
    show_change(answer, as_json)


class _Replaced(msgspec.Struct):
    key_id: str
    expires_at: str


class _Made(msgspec.Struct):
    """What is printed about a new key besides its text."""

    key_id: str
    fleet_id: str
    role: str
    expires_at: str | None
    key: str | None
    published: bool = True
    replaces: _Replaced | None = None


def _hand_over(answer: dict[str, Any], as_json: bool) -> None:
    """Print a new key's text alone, so that it can be piped, and on standard error what to know about it."""
    if "dry_run" in answer:
        show_change(answer, as_json)
        return
    made = read_answer(answer, _Made)
    if made.key is None:
        raise CommandError(f"key {made.key_id} was made, but the answer with its text was lost. {_again(made)}")
    if as_json:
        show_json(answer)
    else:
        print(made.key)
    lasts = f"works until {made.expires_at}" if made.expires_at else "does not expire"
    print(f"Key {made.key_id} of fleet {made.fleet_id} is for a {made.role} and {lasts}.", file=sys.stderr)
    if old := made.replaces:
        print(f"Key {old.key_id}, which it replaces, works until {old.expires_at}.", file=sys.stderr)
    if not made.published:
        print("It is not published everywhere yet: it may be refused until S3 and Valkey answer.", file=sys.stderr)
    print("Store the text now: it is not shown again.", file=sys.stderr)


def _again(made: _Made) -> str:
    """Say how to get a key whose text is known."""
    if made.replaces:
        return f"Rotate that key: `sluice key rotate {made.fleet_id} {made.key_id}`."
    return f"Revoke it with `sluice key revoke {made.fleet_id} {made.key_id}`, and create another one."
