"""The local stack's model of Athena, asked without AWS's client, which takes longer to load than a query to run."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

from cli.stages import CommandError

PAUSE_SECONDS = 0.05
ANSWER_SECONDS = 60


def run(
    address: str, workgroup: str, database: str, sql: str, parameters: Sequence[str]
) -> tuple[list[str], list[tuple[str | None, ...]]]:
    """Run a statement until it ends; return its columns and its rows."""
    asked = {
        "QueryString": sql,
        "QueryExecutionContext": {"Database": database},
        "WorkGroup": workgroup,
        "ExecutionParameters": parameters,
    }
    execution = _call(address, "StartQueryExecution", asked)
    while (status := _call(address, "GetQueryExecution", execution)["QueryExecution"]["Status"])["State"] in (
        "QUEUED",
        "RUNNING",
    ):
        time.sleep(PAUSE_SECONDS)
    if status["State"] != "SUCCEEDED":
        raise CommandError(f"the query failed: {status['StateChangeReason']}", 2)
    columns, *rows = _read(address, execution)
    return [str(name) for name in columns], rows


def _read(address: str, execution: dict[str, Any]) -> Iterator[tuple[str | None, ...]]:
    """Read all pages; the first row is the head."""
    asked = execution
    while True:
        page = _call(address, "GetQueryResults", asked)
        for row in page["ResultSet"]["Rows"]:
            yield tuple(cell.get("VarCharValue") for cell in row["Data"])
        if "NextToken" not in page:
            return
        asked = execution | {"NextToken": page["NextToken"]}


def _call(address: str, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - loopback
        address, json.dumps(asked).encode(), {"X-Amz-Target": f"AmazonAthena.{operation}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - loopback
            content: dict[str, Any] = json.load(answer)
            return content
    except urllib.error.HTTPError as error:
        raise CommandError(f"the query failed: {json.load(error).get('Message')}") from error
    except OSError as error:
        raise CommandError(f"the local stack does not answer: {error}") from error
