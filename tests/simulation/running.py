"""Runs histories, each in a database of its own, and shortens those that fail."""

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.simulation.databases import HistoryDatabases
from tests.simulation.history import History, make_history
from tests.simulation.shrinking import shorten
from tests.simulation.simulation import Outcome, run_history

SHORTENING_RUNS = 150


@dataclass(frozen=True)
class Failure:
    """A history that ends wrongly."""

    seed: str
    wrong: list[str]
    shortened: History
    trace: list[str]

    def __str__(self) -> str:
        return "\n".join(
            [
                f"seed {self.seed}: {len(self.wrong)} faults",
                *self.wrong[:10],
                "",
                "shortened:",
                *self.shortened.lines(),
                "",
                "its steps:",
                *self.trace[-200:],
            ]
        )


def run_seeds(
    databases: HistoryDatabases, seeds: Iterable[str], area: str = ""
) -> Iterator[tuple[str, Outcome, float]]:
    """Run the histories of seeds; yield what each came to, and how long it took."""
    for seed in seeds:
        began = time.monotonic()
        with databases.fresh() as dsn:
            outcome = run_history(make_history(seed, area), dsn)
        yield seed, outcome, time.monotonic() - began


def explain(databases: HistoryDatabases, seed: str, outcome: Outcome, runs: int = SHORTENING_RUNS) -> Failure:
    """Shorten a history that failed: until it fails with as few items as possible."""

    def run(history: History) -> Outcome:
        with databases.fresh() as dsn:
            return run_history(history, dsn)

    shortened = shorten(outcome.history, lambda history: bool(run(history).wrong), runs)
    again = run(shortened)
    return Failure(seed, again.wrong or outcome.wrong, shortened, again.trace)


def fingerprint(outcome: Outcome) -> str:
    """Name a history by all that happened in it."""
    return hashlib.sha256("\n".join([*outcome.trace, *outcome.wrong]).encode()).hexdigest()
