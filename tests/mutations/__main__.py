"""`make mutants`: seed every bug and see its test fail, those that need a database included."""

import sys
import tempfile
from pathlib import Path

from tests.mutations.mutants import MUTANTS
from tests.mutations.running import report, run


def main() -> int:
    """Fail when a mutant survives."""
    with tempfile.TemporaryDirectory() as directory:
        survived = report(run(MUTANTS, Path(directory)))
    print(f"{len(MUTANTS) - len(survived)} of {len(MUTANTS)} mutants are caught")  # noqa: T201 - the list is the result
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
