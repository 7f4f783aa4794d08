"""Tools of the machine that set something up."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from local.processes import StackError
from local.synthesis import node_directory


def run_tool(command: Sequence[str], directory: Path) -> str:
    """Run a tool and return what it printed; its failure is quoted."""
    # Node.js comes with a Python package, and npm starts it by its name.
    environment = {**os.environ, "PATH": os.pathsep.join((str(node_directory()), os.environ["PATH"]))}
    ran = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise StackError(f"{' '.join(command)} failed:\n{ran.stdout}{ran.stderr}")
    return ran.stdout
