"""Runs histories until one fails, for a seeded bug: says after how many, and what was wrong."""

from collections.abc import Iterable

import msgspec

from tests.simulation.databases import HistoryDatabases
from tests.simulation.running import run_seeds


class Found(msgspec.Struct):
    """What came of a search."""

    histories: int | None
    """After how many histories one failed; None: none did."""
    wrong: str = ""


def search(databases: HistoryDatabases, seeds: Iterable[str], area: str) -> Found:
    """Search."""
    for number, (_, outcome, _) in enumerate(run_seeds(databases, seeds, area), start=1):
        if outcome.wrong:
            return Found(number, outcome.wrong[0])
    return Found(None)
