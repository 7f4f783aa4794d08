"""Which seeded bugs histories find, and after how many: `python -m tests.simulation.mutants --histories 30`.

Each bug is seeded in a copy of the tree, and searched for by a process that imports the product from there. The
processes are forked from one that has imported the libraries, and share a PostgreSQL: a search takes as long as its
histories.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from tests.database.server import Databases, serve
from tests.mutations.mutants import MUTANTS, Mutant
from tests.mutations.running import Tree, change
from tests.simulation.reach import find_area, find_reason
from tests.simulation.seeded import SEEDED

OURS = ("sluice", "functions", "tests", "local", "cli")
LIBRARIES = ("aiokafka", "boto3", "confluent_kafka", "numpy", "psycopg", "pyarrow.compute", "pyarrow.parquet", "redis")
LONGEST_SECONDS = 1200


def search_for(server: Databases, directory: Path, mutant: Mutant, histories: int, seed: int) -> str:
    """Seed a bug in a copy of the tree, and run histories until one fails; return a line of the table."""
    file = directory / mutant.file
    shipped = file.read_text()
    try:
        file.write_text(change(shipped, mutant))
        said = _run(server, directory, find_area(mutant), range(seed, seed + histories))
    finally:
        file.write_text(shipped)
    return f"| {mutant.bug} | {said} |"


def _run(server: Databases, directory: Path, area: str, seeds: range) -> str:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_search_in, args=(theirs, server, directory, area, seeds))
    child.start()
    theirs.close()
    try:
        said: str = ours.recv() if ours.poll(LONGEST_SECONDS) else "no history ended | "
    except EOFError:
        said = "the search broke off | "
    if child.is_alive():
        child.terminate()
    child.join()
    return said


def _search_in(answer: Connection, server: Databases, directory: Path, area: str, seeds: range) -> None:
    """Import the product from a tree, in a process of its own, and search."""
    sys.path[:0] = [str(directory), str(directory / "layers" / "sluice" / "python")]
    os.chdir(directory)
    for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
        del sys.modules[name]
    from tests.simulation.databases import HistoryDatabases
    from tests.simulation.search import search

    try:
        found = search(HistoryDatabases(server), map(str, seeds), area)
    except Exception as error:  # noqa: BLE001 - a bug may break a history off, and that finds it too
        answer.send(f"a history broke off | {error!r}"[:200])
        return
    answer.send(f"not in {len(seeds)} | " if found.histories is None else f"{found.histories} | {found.wrong[:160]}")


def run(chosen: list[Mutant], directory: Path, histories: int, seed: int) -> Iterator[str]:
    """Search for one after the other."""
    for name in LIBRARIES:
        __import__(name)
    Tree(directory)
    with serve() as server:
        for mutant in chosen:
            yield search_for(server, directory, mutant, histories, seed)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--only", default="", help="a word of the bugs to search for")
    parser.add_argument("--share", default="0/1", help="which of how many shares of the bugs")
    options = parser.parse_args()
    chosen = [
        mutant
        for mutant in (*SEEDED, *MUTANTS)
        if find_reason(mutant) is None and options.only in f"{mutant.file} {mutant.bug}"
    ]
    at, shares = map(int, options.share.split("/"))
    with tempfile.TemporaryDirectory() as directory:
        for line in run(chosen[at::shares], Path(directory), options.histories, options.seed):
            print(line, flush=True)  # noqa: T201 - the table is the result


if __name__ == "__main__":
    main()
