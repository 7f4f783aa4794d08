"""The local stack's own program, which a checkout brings with its Python environment."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from cli.stages import CommandError, find_checkout

Profile = Literal["test", "dev", "baseline", "large"]
Settings = Annotated[Profile, typer.Option("--profile", help="The profile whose settings it starts from.")]


def become(command: str, directory: Path | None, arguments: Sequence[str] = ()) -> NoReturn:
    """Go on as that program: Ctrl-C and the exit code are then its own."""
    checkout = find_checkout()
    python = checkout / ".venv" / "bin" / "python"
    if not python.exists():
        raise CommandError(f"{checkout} is not set up; run `make setup` there", 2)
    place = (directory or checkout / ".local").resolve()
    os.chdir(checkout)
    os.execv(python, [str(python), "-m", "local", command, "--dir", str(place), *arguments])  # noqa: S606 - no shell
