"""Allow a halted consumer more dead letters."""

from typing import Annotated

import typer

from cli.control.options import AsJson, AsRole, Reason, connect
from cli.control.output import show_json
from cli.stages import CommandError, Directory, Stage, choose
from sluice.core.consumers import QUARANTINING
from sluice.core.failures.quarantine import MOST_EXTRA


def list_consumers() -> list[str]:
    """List the consumers that can halt."""
    return [consumer.name for consumer in QUARANTINING]


def run(
    consumer: Annotated[
        str, typer.Argument(metavar="CONSUMER", help="One that is halted.", autocompletion=list_consumers)
    ],
    letters: Annotated[
        int, typer.Argument(metavar="LETTERS", min=1, max=MOST_EXTRA, help="How many more records it may put aside.")
    ],
    reason: Reason,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Allow a halted consumer more dead letters.

    A consumer halts when more records are bad than chance explains: then our code may be at fault. Look at its log and
    at `sluice dead-letters --consumer CONSUMER` first. If the records really are bad, allow as many letters as there
    are. They can be used for an hour. The audit has who allowed them, and why.
    """
    if consumer not in list_consumers():
        raise CommandError(f"{consumer!r} never halts: choose one of {', '.join(list_consumers())}", 2)
    client = connect(choose(stage, directory), role)
    allowed = client.change("POST", "consumers", consumer, "allow", body={"letters": letters, "reason": reason})
    if as_json:
        show_json(allowed)
    else:
        print(f"{consumer} may put {letters:,} more records aside until {allowed['until']}; it retries by itself.")
