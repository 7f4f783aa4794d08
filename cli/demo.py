"""Show the local stack at work."""

from typing import Annotated

import typer

from cli.local_stack import Settings, become
from cli.stages import Directory


def run(
    simulation: Annotated[
        list[str] | None,
        typer.Argument(metavar="OPTIONS", help="Options of `sluice simulate`, behind --, such as -- --rate 50."),
    ] = None,
    profile: Settings = "test",
    directory: Directory = None,
) -> None:
    """Start the local stack with a simulated fleet, and show what happens.

    Ctrl-C ends it. A stack that ran before goes on running.
    """
    become("demo", directory, ["--profile", profile, "--", *(simulation or ())])
