"""Says of every grant of every function whether tests use it; `--record` takes what a running stack has seen.

python -m tests.privilege
python -m tests.privilege --record DIRECTORY-OF-A-STACK
"""

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path

os.environ["CDK_VALIDATION"] = "false"

from tests.infra.templates import synthesize
from tests.privilege.grants import Grant, observe, read_used, write_used
from tests.privilege.reading import read_roles
from tests.privilege.unused import OUTSIDE, UNUSED


def main() -> None:
    """Print the report, or add to the list of used grants."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--record", type=Path, help="the directory of a running stack, after its tests")
    given = arguments.parse_args()
    if given.record is not None:
        write_used(read_used() | observe(given.record).used)
    with tempfile.TemporaryDirectory() as directory:
        synthesize("test", Path(directory))
        grants = read_roles(Path(directory)).grants()
    used = read_used()
    lines = [f"{grant}: {'used' if grant in used else _reason(grant)}" for grant in sorted(grants)]
    lines += ["", f"{len(grants)} grants, {len(grants & used)} used. What no API of AWS sees:"]
    lines += [f"{service}: {reason}" for service, reason in OUTSIDE.items()]
    sys.stdout.write("\n".join(lines) + "\n")


def _reason(grant: Grant) -> str:
    return next((reason for pattern, reason in UNUSED.items() if re.fullmatch(pattern, str(grant))), "UNUSED")


if __name__ == "__main__":
    main()
