"""`make statement` and `make rerun`: asked of reconcile, of the local stack's or of a deployed stage's."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sluice.core.ledger.statement import Statement, write_text

# Longer than reconcile may run, which is ten minutes.
PATIENCE = Config(read_timeout=900, retries={"mode": "standard", "max_attempts": 5})
WAIT_SECONDS = 10


class NotAnsweredError(Exception):
    """reconcile did not do what it was asked for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, and print what is answered."""
    options = _parse(arguments)
    try:
        reconcile = _find(options)
        if options.what == "statement":
            _print_statement(reconcile({"statement": options.day}))
        else:
            _rerun(reconcile, options)
    except (NotAnsweredError, BotoCoreError, ClientError) as error:
        print(f"reconcile did not answer: {error}", file=sys.stderr)
        return 1
    return 0


def _print_statement(drawn_up: dict[str, Any]) -> None:
    if not drawn_up:
        raise NotAnsweredError("the database does not answer; the function's log says why")
    for line in write_text(msgspec.convert(drawn_up, Statement)):
        print(line)


def _rerun(reconcile: Any, options: argparse.Namespace) -> None:
    records, start = 0, options.start
    while start is not None:
        order = {"consumer": options.consumer, "partition": options.partition, "from": start, "to": options.end}
        done = reconcile({"rerun": order})
        if not done:
            raise NotAnsweredError(f"the run ended before its time, at offset {start}; the function's log says why")
        if done.get("busy"):
            print(f"another run of reconcile is at work; waiting for its end, to go on from offset {start}", flush=True)
            time.sleep(WAIT_SECONDS)
            continue
        records, start = records + done["records"], done["next"]
        if done["failed_at"] is not None:
            raise NotAnsweredError(
                f"{options.consumer} did not take offset {done['failed_at']}; its log says why. Go on from there later."
            )
    print(f"{options.consumer} was given {records} records of partition {options.partition} again")
    print("What it had accounted for before is not counted twice; archive's rows appear when their file is written.")


def _find(options: argparse.Namespace) -> Any:
    """Return what invokes reconcile."""
    if options.stage:
        client, name = boto3.client("lambda", config=PATIENCE), f"sluice-{options.stage}-reconcile"
    else:
        stack_file = options.dir / "stack.json"
        if not stack_file.exists():
            raise NotAnsweredError("no stack is running here; start one with `make up` or `make demo`")
        stack = json.loads(stack_file.read_text())
        client = boto3.client(
            "lambda",
            stack["region"],
            endpoint_url=stack["lambdas"],
            aws_access_key_id=stack["admin"]["access_key"],
            aws_secret_access_key=stack["admin"]["secret_key"],
            config=PATIENCE,
        )
        name = stack["functions"]["reconcile"]

    def invoke(payload: dict[str, Any]) -> Any:
        answer = client.invoke(FunctionName=name, Payload=json.dumps(payload))
        body = json.load(answer["Payload"])
        if "FunctionError" in answer:
            raise NotAnsweredError(body.get("errorMessage", "it failed; its log says why"))
        return body

    return invoke


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ledger", description=__doc__)
    parser.add_argument("--stage", help="ask this deployed stage instead of the local stack")
    parser.add_argument("--dir", type=Path, default=Path(".local"), help="the local stack's directory")
    what = parser.add_subparsers(dest="what", required=True)
    statement = what.add_parser("statement", help="what became of every event of a day")
    statement.add_argument("--day", default=datetime.now(UTC).date().isoformat(), help="YYYY-MM-DD, in UTC; today")
    rerun = what.add_parser("rerun", help="give a consumer records again, by their offsets")
    rerun.add_argument("consumer", choices=("archive", "aggregate"))
    rerun.add_argument("partition", type=int)
    rerun.add_argument("start", type=int, metavar="from", help="the first offset")
    rerun.add_argument("end", type=int, metavar="to", help="the one behind the last")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
