"""`python -m cli <command>`: runs one command; what goes wrong is said in words."""

import importlib
import sys
from collections.abc import Sequence

from cli.stages import CommandError

COMMANDS = ("canary", "query", "rerun", "simulate", "statement", "trace")


def main(arguments: Sequence[str]) -> int:
    """Run the command that the first argument names, with the others."""
    if not arguments or arguments[0] not in COMMANDS:
        print(f"usage: python -m cli COMMAND ..., one of: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    # Only this one is imported: what another needs would take longer to load than a query takes to run.
    command = importlib.import_module(f"cli.{arguments[0]}")
    try:
        status: int = command.main(arguments[1:])
    except CommandError as error:
        print(error, file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
