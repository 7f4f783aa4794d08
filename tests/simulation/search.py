"""Runs histories until one fails, for a seeded bug: prints after how many, and what was wrong."""

import argparse
import json
import time

from tests.database.server import serve
from tests.simulation.databases import HistoryDatabases
from tests.simulation.running import run_seeds


def main() -> None:
    """Search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--area", default="", help="what each history has beside the way of an event to the stores")
    options = parser.parse_args()
    began = time.monotonic()
    seeds = map(str, range(options.seed, options.seed + options.histories))
    with serve() as server:
        for number, (seed, outcome, _) in enumerate(run_seeds(HistoryDatabases(server), seeds, options.area), start=1):
            if outcome.wrong:
                said = {"histories": number, "seed": seed, "wrong": outcome.wrong[0][:200]}
                print(json.dumps(said | {"seconds": round(time.monotonic() - began)}))  # noqa: T201 - it is the result
                return
    print(json.dumps({"histories": None, "seconds": round(time.monotonic() - began)}))  # noqa: T201 - likewise


if __name__ == "__main__":
    main()
