"""Runs the test that must catch a mutant, in a mutated copy of the tree."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.mutations.mutants import Mutant

ROOT = Path(__file__).parents[2]
#: What tests of functions and of the database read, without installed tools and state.
COPIED = ("functions", "layers", "schemas", "events", "tests", "cli", "local", "infra", "pyproject.toml")
SIDE_BY_SIDE = 2

_FAILED = 1  # pytest's code when tests ran and some failed; any other code is no verdict


@dataclass(frozen=True)
class Verdict:
    """The result of one mutant."""

    mutant: Mutant
    caught: bool
    said: str


class Tree:
    """A copy of what the tests need, to be damaged."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, directory / name, symlinks=True, ignore=ignored)
            else:
                shutil.copy(source, directory / name)

    def test(self, nodes: Sequence[str]) -> tuple[int, str]:
        """Run tests; return pytest's code and output."""
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", *nodes]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        ran = subprocess.run(command, cwd=self._directory, env=environment, capture_output=True, text=True, check=False)
        return ran.returncode, ran.stdout + ran.stderr

    def try_out(self, mutant: Mutant) -> Verdict:
        """Run a mutant's test with the mutant in place."""
        file = self._directory / mutant.file
        shipped = file.read_text()
        try:
            file.write_text(change(shipped, mutant))
            code, said = self.test([mutant.caught_by])
        finally:
            file.write_text(shipped)
        return Verdict(mutant, code == _FAILED, said)


def change(text: str, mutant: Mutant) -> str:
    """Seed the bug."""
    for old, new in mutant.changes:
        if text.count(old) != 1:
            raise ValueError(f"{mutant.file} does not hold this once, for {mutant.bug!r}: {old!r}")
        text = text.replace(old, new)
    return text


def run(mutants: Sequence[Mutant], directory: Path) -> Iterator[Verdict]:
    """Run mutants, some in parallel, after their tests passed without them."""
    trees = [Tree(directory / str(number)) for number in range(min(SIDE_BY_SIDE, len(mutants)))]
    code, said = trees[0].test(sorted({mutant.caught_by for mutant in mutants}))
    if code != 0:
        raise RuntimeError(f"without any mutant, their tests fail:\n{said}")
    free = {*trees}
    lock = threading.Lock()

    def try_out(mutant: Mutant) -> Verdict:
        with lock:
            tree = free.pop()
        try:
            return tree.try_out(mutant)
        finally:
            with lock:
                free.add(tree)

    with ThreadPoolExecutor(len(trees)) as pool:
        yield from pool.map(try_out, mutants)


def report(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Print each mutant's result; return those that no test caught."""
    survived = []
    for verdict in verdicts:
        word = "caught" if verdict.caught else "SURVIVED"
        print(f"{word}: {verdict.mutant.bug}\n    {verdict.mutant.caught_by}", flush=True)  # noqa: T201 - the list is the result
        if not verdict.caught:
            survived.append(verdict)
            print(verdict.said)  # noqa: T201
    return survived
