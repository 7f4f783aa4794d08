"""Give a consumer records again, by their offsets."""

import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Any

from cli.functions import find_function
from cli.stages import CommandError, begin_parser
from sluice.core.consumers import ACCOUNTED

WAIT_SECONDS = 10


def main(arguments: Sequence[str]) -> int:
    """Have reconcile run a consumer again, from offset to offset, and say how many records it was given."""
    parser = begin_parser("rerun", __doc__)
    parser.add_argument("consumer", choices=[consumer.name for consumer in ACCOUNTED])
    parser.add_argument("partition", type=int)
    parser.add_argument("start", type=int, metavar="from", help="the first offset")
    parser.add_argument("end", type=int, metavar="to", help="the one behind the last")
    options = parser.parse_args(arguments)
    records = _run_again(find_function(options, "reconcile"), options)
    print(f"{options.consumer} was given {records} records of partition {options.partition} again")
    print("What it had accounted for before is not counted twice; archive's rows appear when their file is written.")
    return 0


def _run_again(reconcile: Callable[[dict[str, Any]], Any], options: Namespace) -> int:
    records, start = 0, options.start
    while start is not None:
        order = {"consumer": options.consumer, "partition": options.partition, "from": start, "to": options.end}
        done = reconcile({"rerun": order})
        if not done:
            raise CommandError(f"the run ended before its time, at offset {start}; the log of reconcile says why")
        if done.get("busy"):
            print(f"another run of reconcile is at work; waiting for its end, to go on from offset {start}", flush=True)
            time.sleep(WAIT_SECONDS)
            continue
        records, start = records + done["records"], done["next"]
        if done["failed_at"] is not None:
            raise CommandError(
                f"{options.consumer} did not take offset {done['failed_at']}; its log says why. Go on from there later."
            )
    return records
