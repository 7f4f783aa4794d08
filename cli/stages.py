"""The stage that a command asks: a deployed one by its name, or else the local stack."""

import argparse
import json
from pathlib import Path
from typing import Any


class CommandError(Exception):
    """The command cannot be done; the message is for the person who gave it."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status
        """What the process returns: 2 where another command would do, 1 where the stage is at fault."""


def begin_parser(command: str, description: str | None) -> argparse.ArgumentParser:
    """Begin the parser of a command with the options that every command has."""
    parser = argparse.ArgumentParser(prog=command, description=description)
    parser.add_argument("--stage", help="ask this deployed stage instead of the local stack")
    parser.add_argument("--dir", type=Path, default=Path(".local"), help="the local stack's directory")
    return parser


def read_stack(directory: Path) -> dict[str, Any]:
    """Read how the local stack describes itself."""
    try:
        described: dict[str, Any] = json.loads((directory / "stack.json").read_text())
    except FileNotFoundError:
        raise CommandError("no stack is running here; start one with `make up` or `make demo`", 2) from None
    return described
