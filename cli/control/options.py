"""The options and arguments of several commands."""

import re
from typing import Annotated, Any

import msgspec
import typer

from cli.control.address import Role, find_api
from cli.control.client import Client
from cli.stages import CommandError, Target
from sluice.core.api.keys import ID_LENGTH
from sluice.core.control.fleets import FleetId, Region


def check_id(given: str, form: Any, thing: str) -> str:
    """Check the id of a thing before it is sent."""
    try:
        msgspec.convert(given, form)
    except msgspec.ValidationError:
        raise CommandError(f"{given!r} is no {thing}'s id: 1 to 63 lower-case letters, digits and dashes", 2) from None
    return given


def check_fleet(given: str | None) -> str | None:
    """Check a fleet's id, if one is given."""
    return None if given is None else check_id(given, FleetId, "fleet")


def _check_key(given: str) -> str:
    # It is not repeated: it may be the key's whole text, which is secret.
    if re.fullmatch(rf"[0-9A-Za-z]{{{ID_LENGTH}}}", given) is None:
        raise CommandError(
            f"give the key's id, {ID_LENGTH} letters and digits as `sluice key list` shows it, and never its text", 2
        )
    return given


def check_region(given: str | None) -> str | None:
    """Check the name of a region before it is sent."""
    try:
        return None if given is None else msgspec.convert(given, Region)
    except msgspec.ValidationError:
        raise CommandError(f"{given!r} is no region such as eu-central-1", 2) from None


FleetName = Annotated[str, typer.Argument(metavar="FLEET", help="The fleet's id.", callback=check_fleet)]
KeyName = Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's id, not its text.", callback=_check_key)]
AsRole = Annotated[
    Role | None,
    typer.Option("--as", help="Ask as this role. Without: admin at the local stack, yourself at a deployed one."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would change, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit.")]
Version = Annotated[
    int | None,
    typer.Option("--if-version", metavar="NUMBER", min=1, help="Change this version only. Without: the current one."),
]


def connect(target: Target, role: Role | None) -> Client:
    """Return a client of a stage."""
    return Client(find_api(target, role))


def keep_given(**options: object) -> dict[str, object]:
    """Return the options that were given; the stage decides the others."""
    return {name: value for name, value in options.items() if value is not None}
