"""`make simulate`: run histories for some minutes on every core, and print what they met and what failed."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.simulation.coverage import add_up, count_pairs, write_table
from tests.simulation.working import Result, work
from tests.support.scratch import write_to_memory


def main() -> int:
    """Fail if a history ended wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=None, help="the first seed; without it, another one each time")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    write_to_memory()
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
