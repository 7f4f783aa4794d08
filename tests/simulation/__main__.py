"""`make simulate`: run histories for some minutes on every core, and print what they met and what failed."""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from multiprocessing import get_context

from tests.database.server import serve
from tests.simulation.coverage import add_up, count_pairs, write_table
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


def main() -> int:
    """Fail if a history ended wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=None, help="the first seed; without it, another one each time")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    base = int(time.time()) * 1000 if options.seed is None else options.seed
    began = time.monotonic()
    with ProcessPoolExecutor(options.cores, mp_context=get_context("spawn")) as pool:
        working = [
            pool.submit(work, number, options.cores, options.minutes * 60, base) for number in range(options.cores)
        ]
        results = [each.result() for each in working]
    return report(results, base, time.monotonic() - began)


def report(results: Sequence[Result], base: int, seconds: float) -> int:
    """Print what all workers found."""
    met = add_up(result.met for result in results)
    failures = [failure for result in results for failure in result.failures]
    histories, events = sum(result.histories for result in results), sum(result.events for result in results)
    lines = [
        *write_table(met),
        "",
        f"{histories} histories from seed {base} on, {events} attempts to post an event, in {seconds:.0f} s:",
        f"{histories / seconds * 3600:.0f} an hour; {count_pairs(met)} pairs of a step and a fault",
        f"{len(failures)} failed",
        *failures,
    ]
    print("\n".join(lines))  # noqa: T201 - the report is the result
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
