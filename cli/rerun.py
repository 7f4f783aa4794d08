"""Give a consumer records again, by their offsets."""

import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from cli.functions import find_function
from cli.stages import CommandError, Directory, Stage, choose
from sluice.core.consumers import ACCOUNTED

WAIT_SECONDS = 10


def list_consumers() -> list[str]:
    """List the consumers that can run again."""
    return [consumer.name for consumer in ACCOUNTED]


def run(
    consumer: Annotated[
        str, typer.Argument(metavar="CONSUMER", help="Either archive or aggregate.", autocompletion=list_consumers)
    ],
    partition: Annotated[int, typer.Argument(metavar="PARTITION", min=0, help="The partition of raw-events.")],
    start: Annotated[int, typer.Argument(metavar="FROM", min=0, help="The first offset.")],
    end: Annotated[int, typer.Argument(metavar="TO", min=0, help="The offset behind the last.")],
    stage: Stage = "",
    directory: Directory = None,
) -> None:
    """Run a consumer again on records.

    The offsets must still be in Kafka. What the consumer had accounted for before is not counted twice.
    """
    if consumer not in list_consumers():
        raise CommandError(f"{consumer!r} cannot run again: choose one of {', '.join(list_consumers())}", 2)
    order = {"consumer": consumer, "partition": partition, "from": start, "to": end}
    records = _run_again(find_function(choose(stage, directory), "reconcile"), order)
    print(f"{consumer} was given {records} records of partition {partition} again")
    print("What it had accounted for before is not counted twice; archive's rows appear when their file is written.")


def _run_again(reconcile: Callable[[dict[str, Any]], Any], order: dict[str, Any]) -> int:
    records, start = 0, order["from"]
    while start is not None:
        done = reconcile({"rerun": order | {"from": start}})
        if not done:
            raise CommandError(f"the run ended before its time, at offset {start}; the log of reconcile says why")
        if done.get("busy"):
            print(f"another run of reconcile is at work; waiting for its end, to go on from offset {start}", flush=True)
            time.sleep(WAIT_SECONDS)
            continue
        records, start = records + done["records"], done["next"]
        if done["failed_at"] is not None:
            raise CommandError(
                f"{order['consumer']} did not take offset {done['failed_at']}; its log says why."
                " Go on from there later."
            )
    return records
