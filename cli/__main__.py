"""`sluice <command>`: one command line for people who run Sluice; what goes wrong is said in words."""

import os
import sys
from collections.abc import Sequence

from cli.commands import write_help

NAME = "sluice"
COMPLETING = "_SLUICE_COMPLETE"
"""A shell that completes a command sets this, and Typer answers it."""


def main(arguments: Sequence[str]) -> int:
    """Run the command that the first argument names, with the others."""
    asked = list(arguments) in (["-h"], ["--help"])
    if (asked or not arguments) and COMPLETING not in os.environ:
        # Without Typer, which takes longer to load than this list to read.
        print(*write_help(), sep="\n", file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2

    from typer.main import get_command

    from cli.root import app
    from cli.stages import CommandError

    try:
        get_command(app).main(list(arguments), prog_name=NAME)
    except CommandError as error:
        print(error, file=sys.stderr)
        return error.status
    except ModuleNotFoundError as error:
        # An installed package has what asks deployed stages, and not the local stack.
        if error.name is None or error.name.partition(".")[0] != "local":
            raise
        print(f"`sluice {arguments[0]}` works from a checkout only: use the .venv/bin/sluice there", file=sys.stderr)
        return 2
    except SystemExit as ended:
        # Typer ends the process by itself: 0 where all went well, 2 where the command is wrong, 130 after Ctrl-C.
        return ended.code if isinstance(ended.code, int) else 0
    return 0


def run() -> None:
    """Run as an installed program."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
