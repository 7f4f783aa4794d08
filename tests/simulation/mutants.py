"""Which seeded bugs histories find, and after how many: `python -m tests.simulation.mutants --histories 200`."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.mutations.mutants import MUTANTS, Mutant
from tests.mutations.running import Tree, change
from tests.simulation.history import ALERTS, REDRIVES, REPLAYS
from tests.simulation.seeded import SEEDED

LONGEST_SECONDS = 1200
AREA_OF = {"/replay/": REPLAYS, "/detect/": ALERTS, "/alerts/": ALERTS, "/redrive/": REDRIVES}
"""Bugs of an area are searched for in histories that have it."""
BESIDE = ("kafka_client.py", "/matching/", "/notify/", "/rollup_archive/", "recomputing.py")
"""What lies below the simulated clients, or in functions that no history has."""


def search(directory: Path, mutant: Mutant, histories: int) -> str:
    """Seed a bug in a copy of the tree, and run histories until one fails; return a line of the table."""
    file = directory / mutant.file
    shipped = file.read_text()
    try:
        file.write_text(change(shipped, mutant))
        area = next((area for folder, area in AREA_OF.items() if folder in mutant.file), "")
        said = _run(directory, histories, area)
    finally:
        file.write_text(shipped)
    return f"| {mutant.bug} | {said} |"


def _run(directory: Path, histories: int, area: str) -> str:
    command = [sys.executable, "-m", "tests.simulation.search", "--histories", str(histories), "--area", area]
    paths = os.pathsep.join([str(directory), str(directory / "layers" / "sluice" / "python")])
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "PYTHONPATH": paths}
    try:
        ran = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return "no history ended | "
    if ran.returncode != 0:
        return f"a history broke off | {ran.stderr.strip().splitlines()[-1][:160]}"
    found = json.loads(ran.stdout.strip().splitlines()[-1])
    if found["histories"] is None:
        return f"not in {histories} | "
    return f"{found['histories']} | {found['wrong'][:160]}"


def run(mutants: Sequence[Mutant], directory: Path, histories: int, side_by_side: int) -> Iterator[str]:
    """Search for several at a time."""
    free = [directory / str(number) for number in range(side_by_side)]
    for each in free:
        each.mkdir()
        Tree(each)
    lock = threading.Lock()

    def find(mutant: Mutant) -> str:
        with lock:
            tree = free.pop()
        try:
            return search(tree, mutant, histories)
        finally:
            with lock:
                free.append(tree)

    with ThreadPoolExecutor(side_by_side) as pool:
        for done in as_completed([pool.submit(find, mutant) for mutant in mutants]):
            yield done.result()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--only", default="", help="a word of the bugs to search for")
    parser.add_argument("--after", type=int, default=0, help="leave out so many")
    parser.add_argument("--side-by-side", type=int, default=2)
    options = parser.parse_args()
    chosen = [
        mutant
        for mutant in (*SEEDED, *MUTANTS)
        if not any(part in mutant.file for part in BESIDE) and options.only in f"{mutant.file} {mutant.bug}"
    ]
    with tempfile.TemporaryDirectory() as directory:
        for line in run(chosen[options.after :], Path(directory), options.histories, options.side_by_side):
            print(line, flush=True)  # noqa: T201 - the table is the result


if __name__ == "__main__":
    main()
