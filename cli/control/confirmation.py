"""The question before something ends that does not come back."""

import sys

from cli.stages import CommandError


def confirm(question: str) -> None:
    """Ask the person at the terminal; without one, a script must say --yes."""
    if not sys.stdin.isatty():
        raise CommandError("there is no terminal on which to ask for confirmation: repeat the command with --yes", 2)
    # Standard output is for the answer alone.
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was changed", 2)
