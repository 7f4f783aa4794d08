"""`sluice <command>`: one command line for people who run Sluice; what goes wrong is said in words."""

import importlib
import sys
from collections.abc import Sequence

from cli.stages import CommandError

COMMANDS = {
    "canary": "Post as devices do and read the results back.",
    "query": "Run a query over the lake.",
    "rerun": "Run a consumer again on records.",
    "simulate": "Post as a simulated fleet does.",
    "statement": "Account for every event of a day.",
    "trace": "Show what became of an event.",
}
"""The commands that read their own options, each in a module of its name."""

GROUPS = {
    "audit": "Who changed which fleet or key, and whether anyone altered that since.",
    "cost": "What a deployment costs a month.",
    "fleet": "Fleets: list, create, change, archive them.",
    "key": "Fleets' keys: list, create, rotate, revoke them.",
}
"""The groups of commands, each in a package of its name."""


def main(arguments: Sequence[str]) -> int:
    """Run the command that the first argument names, with the others."""
    name = arguments[0] if arguments else "--help"
    try:
        # Only this one is imported: what another needs would take longer to load than a query takes to run.
        if name in COMMANDS:
            status: int = importlib.import_module(f"cli.{name}").main(arguments[1:])
            return status
        if name in GROUPS:
            # It ends the process itself, by SystemExit.
            importlib.import_module(f"cli.{name}.command").app(arguments[1:], prog_name=f"sluice {name}")
    except CommandError as error:
        print(error, file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return 130
    asked = name in ("-h", "--help") and bool(arguments)
    listed = (f"  {one:10} {what}" for one, what in (COMMANDS | GROUPS).items())
    unknown = () if name == "--help" else (f"{name!r} is no command.",)
    lines = (*unknown, "usage: sluice COMMAND ...", *listed)
    print(*lines, sep="\n", file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
