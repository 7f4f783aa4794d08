"""Athena: parallel SQL queries over files, with one time limit for all."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import msgspec

from sluice.core.errors import Retryable
from sluice.core.trace.lake_search import Cells
from sluice.edge import aws

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 1.0
CALL_SECONDS, TRIES = 2, 2  # of each call


class Failure(msgspec.Struct, frozen=True):
    """Why a query has no answer."""

    problem: Literal["timeout", "too_much", "unavailable"]
    detail: str


Rows = list[Cells]


class Athena:
    """An Athena workgroup."""

    def __init__(
        self,
        client: Any,
        workgroup: str,
        database: str,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._workgroup = workgroup
        self._database = database
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep

    def ask(self, queries: Sequence[str], parameters: Sequence[str]) -> list[Rows | Failure]:
        """Run all queries at once, with the same values for their placeholders.

        The answers are in the order of the queries: the rows, or why they did not arrive in time.
        """
        end = self._clock() + self._seconds
        answers: dict[int, Rows | Failure] = {}
        running: dict[int, str] = {}
        # The error of the last failed poll of each query.
        unseen: dict[int, Retryable] = {}
        for number, query in enumerate(queries):
            started = self._try(partial(self._start, query, parameters))
            if isinstance(started, Retryable):
                answers[number] = Failure("unavailable", str(started))
            else:
                running[number] = started
        pause = FIRST_PAUSE
        while running and self._clock() < end:
            self._sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 1.5)
            for number, execution in list(running.items()):
                if self._clock() >= end:
                    break
                # The query continues even if a poll fails.
                unseen.pop(number, None)
                answer = self._try(partial(self._look, execution))
                if isinstance(answer, Retryable):
                    unseen[number] = answer
                elif answer is not None:
                    answers[number] = answer
                    del running[number]
        for number, execution in running.items():
            answers[number] = self._stop(execution, unseen.get(number))
        return [answers[number] for number in range(len(queries))]

    def _stop(self, execution: str, unseen: Retryable | None) -> Failure:
        """Stop a query, which costs by the bytes it reads and has no reader any more; return why it has no answer."""
        late = f"no answer within {self._seconds:g} s"
        stopped = self._try(partial(self._client.stop_query_execution, QueryExecutionId=execution))
        detail = late if unseen is None else f"{late}: {unseen}"
        if isinstance(stopped, Retryable):
            detail += f"; the query could not be stopped: {stopped}"
        return Failure("timeout" if unseen is None else "unavailable", detail)

    def _try(self, act: Callable[[], Any]) -> Any:
        """Return a call's answer, or why Athena did not answer."""
        try:
            with aws.asking("Athena"):
                return act()
        except Retryable as error:
            return error

    def _start(self, query: str, parameters: Sequence[str]) -> str:
        started = self._client.start_query_execution(
            QueryString=query,
            # Athena reads a parameter as text only if it is quoted.
            ExecutionParameters=[quote(value) for value in parameters],
            QueryExecutionContext={"Database": self._database},
            WorkGroup=self._workgroup,
        )
        execution: str = started["QueryExecutionId"]
        return execution

    def _look(self, execution: str) -> Rows | Failure | None:
        """Return the answer, or None while none exists."""
        status = self._client.get_query_execution(QueryExecutionId=execution)["QueryExecution"]["Status"]
        match status["State"]:
            case "SUCCEEDED":
                return list(read_rows(self._client.get_query_results(QueryExecutionId=execution)["ResultSet"]))
            case "FAILED":
                return Failure("unavailable", status.get("StateChangeReason", "the query failed"))
            case "CANCELLED":
                # Only the workgroup cancels a query early, at its limit of bytes.
                return Failure("too_much", status.get("StateChangeReason", "the query was cancelled"))
        return None


def quote(value: str) -> str:
    """Write a text as SQL does."""
    return "'" + value.replace("'", "''") + "'"


def read_rows(results: Mapping[str, Any]) -> Iterable[Cells]:
    """Read a first page of results, whose first row is the header; a null has no value."""
    names = [column["Name"] for column in results["ResultSetMetadata"]["ColumnInfo"]]
    for row in results["Rows"][1:]:
        yield dict(zip(names, (cell.get("VarCharValue") for cell in row["Data"]), strict=True))
