"""A model of Amazon Athena: queries that run on their own, and whose state and results are asked for.

Modelled: StartQueryExecution with execution parameters, GetQueryExecution, GetQueryResults with its pages and the head
as first row, StopQueryExecution; states; values as text, as Athena writes them; the hidden column "$path"; unknown
workgroups, databases and executions. DuckDB answers over the files of the catalog, also for `sluice query`.

Not modelled: everything in which Trino's SQL differs from DuckDB's; results as objects in a bucket, reuse of results,
named and prepared queries, catalogs, limits of the workgroup, quotas, what a query scans and costs. Believed rather
than documented: that a parameter which is no literal is read as an expression; here it is refused.

`POST /_model/faults` (ours) makes it slow, or fail what is asked.
"""

import asyncio
import contextlib
import re
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
from aiohttp import web
from botocore.exceptions import BotoCoreError, ClientError

from local.catalog import Store
from local.models.config import AthenaConfig, read
from local.models.guard import guarding
from local.models.serve import main

RESULTS_PER_PAGE = 1000
MOST_EXECUTIONS = 100
"""Older ones are forgotten, with their rows."""

_TARGET = "AmazonAthena."
_CONTENT_TYPE = "application/x-amz-json-1.1"
_TEXT = re.compile(r"'((?:[^']|'')*)'", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


class Context(msgspec.Struct):
    """Where a query's tables are."""

    Database: str


class StartQueryExecution(msgspec.Struct):
    """The request of StartQueryExecution."""

    QueryString: str
    QueryExecutionContext: Context
    WorkGroup: str = "primary"
    ExecutionParameters: list[str] = []
    ClientRequestToken: str = ""


class OfExecution(msgspec.Struct):
    """The request of everything that is about one execution."""

    QueryExecutionId: str
    NextToken: str = "0"
    MaxResults: int = RESULTS_PER_PAGE


class Faults(msgspec.Struct):
    """How it misbehaves, on a test's request."""

    delay_seconds: float = 0.0
    """How long each query runs before it does anything."""
    refuse: bool = False
    """Every call is answered with an error."""


class Refused(Exception):
    """A request that gets an error of the API."""


class Execution:
    """One query, from its start to its result."""

    def __init__(self, sql: str, parameters: list[Any], database: str, workgroup: str) -> None:
        self.id = str(uuid.uuid4())
        self.sql = sql
        self.parameters = parameters
        self.database = database
        self.workgroup = workgroup
        self.submitted = time.time()
        self.state = "QUEUED"
        self.reason = ""
        self.columns: list[str] = []
        self.rows: list[list[str | None]] = []
        self.task: asyncio.Task[None] | None = None

    def describe(self) -> dict[str, Any]:
        """It as GetQueryExecution tells of it."""
        status = {"State": self.state, "SubmissionDateTime": self.submitted}
        return {
            "QueryExecutionId": self.id,
            "Query": self.sql,
            "QueryExecutionContext": {"Database": self.database},
            "WorkGroup": self.workgroup,
            "Status": status | ({"StateChangeReason": self.reason} if self.reason else {}),
        }


def read_parameter(text: str) -> str | int | float:
    """The value of a literal; anything else would be an expression to Athena."""
    if found := _TEXT.fullmatch(text):
        return found[1].replace("''", "'")
    if found := _NUMBER.fullmatch(text):
        return float(text) if found[1] else int(text)
    raise Refused(f"the parameter {text!r} is no literal; the model takes texts in quotes and numbers")


def write_value(value: Any) -> str | None:
    """A value as Athena writes it."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat(sep=" ", timespec="milliseconds")
        case date():
            return value.isoformat()
        case list():
            return f"[{', '.join(str(write_value(each)) for each in value)}]"
        case dict():
            return f"{{{', '.join(f'{name}={write_value(each)}' for name, each in value.items())}}}"
    return str(value)


class AthenaApi:
    """Athena's JSON protocol over the stack's files."""

    def __init__(self, config: AthenaConfig) -> None:
        self._config = config
        self._executions: dict[str, Execution] = {}
        self._faults = Faults()
        self._store = Store(config.aws, config.region)

    async def handle(self, request: web.Request) -> web.Response:
        try:
            return _answer(self._call(request.headers.get("X-Amz-Target", ""), await request.read()))
        except Refused as refused:
            return _answer({"__type": "InvalidRequestException", "Message": str(refused)}, status=400)
        except msgspec.DecodeError as error:
            return _answer({"__type": "SerializationException", "Message": str(error)}, status=400)

    def workgroup_of(self, execution: str) -> str:
        """Return the workgroup of an execution; of none that is unknown."""
        return self._executions[execution].workgroup if execution in self._executions else ""

    async def misbehave(self, request: web.Request) -> web.Response:
        """Misbehave from now on as the request says; an empty object ends it."""
        self._faults = msgspec.json.decode(await request.read(), type=Faults)
        return web.json_response(msgspec.to_builtins(self._faults))

    async def stop(self) -> None:
        """Ends what still runs."""
        tasks = [each.task for each in self._executions.values() if each.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _call(self, target: str, body: bytes) -> dict[str, Any]:
        if self._faults.refuse:
            raise Refused("it was told to refuse")
        match target.removeprefix(_TARGET):
            case "StartQueryExecution":
                return {"QueryExecutionId": self._start(msgspec.json.decode(body, type=StartQueryExecution)).id}
            case "GetQueryExecution":
                return {"QueryExecution": self._find(body)[0].describe()}
            case "GetQueryResults":
                return self._results(*self._find(body))
            case "StopQueryExecution":
                self._cancel(self._find(body)[0])
                return {}
            case operation:
                raise Refused(f"The local model has no operation {operation}")

    def _start(self, asked: StartQueryExecution) -> Execution:
        if asked.WorkGroup not in self._config.workgroups:
            raise Refused(f"WorkGroup {asked.WorkGroup} is not found.")
        parameters = [read_parameter(text) for text in asked.ExecutionParameters]
        execution = Execution(asked.QueryString, parameters, asked.QueryExecutionContext.Database, asked.WorkGroup)
        self._executions[execution.id] = execution
        if len(self._executions) > MOST_EXECUTIONS:
            self._cancel(self._executions.pop(next(iter(self._executions))))
        execution.task = asyncio.create_task(self._run(execution))
        return execution

    def _find(self, body: bytes) -> tuple[Execution, OfExecution]:
        asked = msgspec.json.decode(body, type=OfExecution)
        if asked.QueryExecutionId not in self._executions:
            raise Refused(f"QueryExecution {asked.QueryExecutionId} was not found")
        return self._executions[asked.QueryExecutionId], asked

    def _cancel(self, execution: Execution) -> None:
        if execution.state in ("QUEUED", "RUNNING"):
            execution.state, execution.reason = "CANCELLED", "Query cancelled by user"
            if execution.task is not None:
                execution.task.cancel()

    async def _run(self, execution: Execution) -> None:
        execution.state = "RUNNING"
        await asyncio.sleep(self._faults.delay_seconds)
        try:
            columns, rows = await asyncio.to_thread(self._ask, execution)
        except (duckdb.Error, pa.ArrowException, BotoCoreError, ClientError, OSError) as error:
            execution.state, execution.reason = "FAILED", str(error)
        else:
            execution.columns, execution.rows, execution.state = columns, rows, "SUCCEEDED"

    def _ask(self, execution: Execution) -> tuple[list[str], list[list[str | None]]]:
        with self._store.open(execution.database, execution.sql) as connection:
            # Comments alone are no statement, and have no result.
            found = connection.execute(execution.sql, execution.parameters) or connection.execute("SELECT NULL LIMIT 0")
            rows: list[Any] = found.fetchall()
            columns = [column[0] for column in found.description or ()]
            return columns, [[write_value(value) for value in row] for row in rows]

    def _results(self, execution: Execution, asked: OfExecution) -> dict[str, Any]:
        if execution.state != "SUCCEEDED":
            raise Refused(f"Query did not finish successfully. Final query state: {execution.state}")
        # The head counts as a row, of the first page only.
        everything: list[Sequence[str | None]] = [execution.columns, *execution.rows]
        first = int(asked.NextToken)
        last = first + min(asked.MaxResults, RESULTS_PER_PAGE)
        page = [
            {"Data": [{} if value is None else {"VarCharValue": value} for value in row]}
            for row in everything[first:last]
        ]
        columns = [{"Name": name, "Type": "varchar"} for name in execution.columns]
        more = {"NextToken": str(last)} if last < len(everything) else {}
        return {"ResultSet": {"Rows": page, "ResultSetMetadata": {"ColumnInfo": columns}}, **more}


def _answer(content: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(content), content_type=_CONTENT_TYPE)


@contextlib.asynccontextmanager
async def model(config_file: Path) -> AsyncIterator[web.Application]:
    """The API of all workgroups in the config."""
    api = AthenaApi(read(AthenaConfig, config_file))
    application = web.Application(middlewares=[guarding(config_file, "athena", api.workgroup_of)])
    application.router.add_post("/", api.handle)
    application.router.add_post("/_model/faults", api.misbehave)
    try:
        yield application
    finally:
        await api.stop()


if __name__ == "__main__":
    main(model)
