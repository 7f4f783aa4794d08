"""The stage that a command asks: a deployed one by its name, or else the local stack."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer


class CommandError(Exception):
    """The command cannot be done; the message is for the person who gave it."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status
        """What the process returns: 2 where another command would do, 1 where the stage is at fault."""


@dataclass(frozen=True)
class Target:
    """A deployed stage, or the local stack if there is no name."""

    stage: str
    dir: Path
    """The local stack's directory."""
    region: str | None = None
    aws_profile: str | None = None
    api: str | None = None
    """The address of a deployed stage's API, if a profile knows it."""


def list_profiles() -> list[str]:
    """List the profiles' names, for completion."""
    from cli.profile.file import load_profiles

    return list(load_profiles())


Stage = Annotated[
    str,
    typer.Option(
        "--stage",
        metavar="STAGE",
        help="Ask this deployed stage, or this profile's, instead of the local stack.",
        autocompletion=list_profiles,
    ),
]
Directory = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIRECTORY", help="The local stack's directory. Without: .local in the checkout."),
]


def choose(stage: str, directory: Path | None) -> Target:
    """Find the stage that a command's options name; a profile goes before a stage of the same name."""
    if not stage:
        return Target("", directory or find_checkout() / ".local")
    # A local command does without.
    from cli.profile.file import load_profiles

    found = load_profiles().get(stage)
    place = directory or Path(".local")
    if found is None:
        return Target(stage, place)
    return Target(found.stage, place, found.region, found.aws_profile, found.api)


def find_checkout() -> Path:
    """Find the checkout that this code is part of, or else the one around the working directory."""
    for place in (Path(__file__).parents[1], Path.cwd(), *Path.cwd().parents):
        if (place / "local" / "venv.sh").is_file():
            return place
    raise CommandError("this needs a checkout of Sluice, and the working directory is not inside one", 2)


def read_stage(arguments: Sequence[str]) -> Target:
    """Return the deployed stage that `make` names, by its name and perhaps its region."""
    if not 1 <= len(arguments) <= 2:
        raise CommandError("say which stage, and where its region is not that of cdk.json, its region", 2)
    stage, *others = arguments
    checkout = find_checkout()
    region = others[0] if others else json.loads((checkout / "cdk.json").read_text())["context"]["region"]
    return Target(stage, checkout, str(region))


def read_stack(directory: Path) -> dict[str, Any]:
    """Read how the local stack describes itself."""
    try:
        described: dict[str, Any] = json.loads((directory / "stack.json").read_text())
    except FileNotFoundError:
        raise CommandError("no stack is running here; start one with `sluice up` or `sluice demo`", 2) from None
    return described
