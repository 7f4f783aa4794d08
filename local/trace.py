"""`make trace`: what became of one event, told line by line."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local.models.aws_client import aws_client

WORDS = ("event_id", "fleet_id", "device_id", "from", "to")


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask the function trace as an operator does, without a key, and print the story."""
    options = _parse(arguments)
    question = {name: value for name in WORDS if (value := getattr(options, name))}
    if options.stage:
        client, function = boto3.client("lambda"), f"sluice-{options.stage}-trace"
    else:
        stack_file = options.dir / "stack.json"
        if not stack_file.exists():
            print("no stack is running here; start one with `make up` or `make demo`", file=sys.stderr)
            return 2
        stack = json.loads(stack_file.read_text())
        client, function = aws_client("lambda", stack["lambdas"], stack["region"]), stack["functions"]["trace"]
    return _ask(client, function, question)


def _ask(client: Any, function: str, question: dict[str, str]) -> int:
    try:
        answer = client.invoke(FunctionName=function, Payload=json.dumps(question))
    except (BotoCoreError, ClientError) as error:
        print(f"trace cannot be asked: {error}", file=sys.stderr)
        return 1
    document = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        print(f"trace failed: {document.get('errorMessage', document)}", file=sys.stderr)
        return 1
    if "story" not in document:
        print(f"{document['code']}: {document['detail']}", file=sys.stderr)
        return 2
    print("\n".join(document["story"]))
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="trace", description=__doc__)
    parser.add_argument("--stage", help="ask this deployed stage instead of the local stack")
    parser.add_argument("--dir", type=Path, default=Path(".local"), help="the local stack's directory")
    parser.add_argument("event_id", help="the event's id")
    parser.add_argument("fleet_id", nargs="?", default="", help="its fleet; nothing means any")
    parser.add_argument("device_id", nargs="?", default="", help="its device; without one, it is found in the files")
    parser.add_argument("from", nargs="?", default="", help="the first day of arrival, such as 2026-01-31 (yesterday)")
    parser.add_argument("to", nargs="?", default="", help="the last day (today)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
