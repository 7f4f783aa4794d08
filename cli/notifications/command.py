"""`sluice notifications`: list those that were given up, send them again, or discard them."""

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from cli.control.confirmation import confirm
from cli.control.options import AsJson, Yes
from cli.control.output import show_json, show_list
from cli.notifications.letters import Letter, Letters
from cli.stages import Directory, Stage, choose

COLUMNS = ("destination_id", "incident_id", "sequence", "happening", "at", "reason", "detail")

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="List notifications that were given up, send them again, or discard them.",
)

DestinationName = Annotated[str, typer.Option("--destination", metavar="ID", help="Only of this destination.")]


@app.command(name="list")
def list_letters(
    destination: DestinationName = "", stage: Stage = "", directory: Directory = None, as_json: AsJson = False
) -> None:
    """List notifications that were given up, with the reason: the first ten of each destination.

    A reason is refused (the destination will not take it until someone changes something), given_up (it took none of
    eight attempts), unreadable, or never_ended (it was received 30 times: notify died,
    or could not reach AWS).
    """
    letters = Letters(choose(stage, directory))
    there = letters.count()
    looked = list(letters.look())
    for each in looked:
        letters.release(each)
    chosen = [each.describe() for each in looked if _is_of(each, destination)]
    if as_json:
        show_json({"found": there, "items": chosen})
        return
    show_list(chosen, COLUMNS, as_json=False)
    if len(looked) < there:
        print(f"{len(looked)} of {there} were looked at", file=sys.stderr)


@app.command()
def redrive(
    destination: DestinationName = "", stage: Stage = "", directory: Directory = None, yes: Yes = False
) -> None:
    """Send notifications again that were given up, in their order.

    Repair the cause first: the destination, its secret or its address. One is left out if its destination has since
    got a later message of the same incident.
    """
    letters = Letters(choose(stage, directory))
    if not yes:
        confirm(_ask(letters, destination, "Send", "again"))

    def send(letter: Letter) -> None:
        letters.send_again(letter)
        letters.remove(letter)

    print(f"{_each(letters, destination, send):,} sent again")


@app.command()
def discard(
    destination: DestinationName = "", stage: Stage = "", directory: Directory = None, yes: Yes = False
) -> None:
    """Delete notifications that were given up and that no one needs any more. The alarm ends with the last one."""
    letters = Letters(choose(stage, directory))
    if not yes:
        confirm(_ask(letters, destination, "Discard", "for ever"))
    print(f"{_each(letters, destination, letters.remove):,} discarded")


def _ask(letters: Letters, destination: str, verb: str, how: str) -> str:
    which = f"those of {destination} among" if destination else "all of"
    return f"{verb} {which} {letters.count():,} notifications {how}?"


def _each(letters: Letters, destination: str, act: Callable[[Letter], None]) -> int:
    """Do something with each that is there now; what comes meanwhile is left."""
    left, done = letters.count(), 0
    others: list[Letter] = []
    for letter in letters.look():
        left -= 1
        if _is_of(letter, destination):
            act(letter)
            done += 1
        else:
            others.append(letter)
        if left <= 0:
            break
    for letter in others:
        letters.release(letter)
    return done


def _is_of(letter: Letter, destination: str) -> bool:
    return destination in ("", letter.destination_id)
