"""What one core does of a long run: histories one after the other, on a server of its own."""

import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count

from tests.database.server import serve
from tests.simulation.databases import HistoryDatabases
from tests.simulation.running import explain, run_seeds

SHOWN = 3
"""How many failures a core shortens."""


@dataclass
class Result:
    """What one core found."""

    histories: int = 0
    events: int = 0
    met: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def work(first: int, step: int, seconds: float, base: int) -> Result:
    """Run the histories of one core until the time is over."""
    ends = time.monotonic() + seconds
    result = Result()
    with serve() as server:
        databases = HistoryDatabases(server)
        for seed, outcome, _ in run_seeds(databases, (str(base + number) for number in count(first, step))):
            result.histories += 1
            result.events += outcome.events
            result.met.update(outcome.met)
            if outcome.wrong:
                few = len(result.failures) < SHOWN
                result.failures.append(
                    str(explain(databases, seed, outcome)) if few else f"seed {seed}: {outcome.wrong[0]}"
                )
            if time.monotonic() >= ends:
                return result
    return result
