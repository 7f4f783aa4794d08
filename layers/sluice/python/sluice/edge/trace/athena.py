"""Athena: questions in SQL about files, several at a time, waited for together and no longer than they may take."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import msgspec

from sluice.core.errors import Retryable
from sluice.core.trace.seeking import Cells
from sluice.edge import aws

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 1.0
CALL_SECONDS, TRIES = 2, 2  # of each call


class Failure(msgspec.Struct, frozen=True):
    """Why a question has no answer."""

    problem: Literal["timeout", "too_much", "unavailable"]
    detail: str


Rows = list[Cells]


class Athena:
    """A workgroup that is asked."""

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
        """Ask all at once, with the same values in the place of their question marks.

        Each answer has its query's place: the rows that came in time, or why they did not.
        """
        end = self._clock() + self._seconds
        answers: dict[int, Rows | Failure] = {}
        running: dict[int, str] = {}
        # What kept the last look at a query from seeing anything.
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
                # The query goes on whether or not a look at it fails.
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
        """Stop a query, which is paid for by what it reads and read by nobody any more; say why it has no answer."""
        late = f"no answer within {self._seconds:g} s"
        stopped = self._try(partial(self._client.stop_query_execution, QueryExecutionId=execution))
        detail = late if unseen is None else f"{late}: {unseen}"
        if isinstance(stopped, Retryable):
            detail += f"; the query could not be stopped: {stopped}"
        return Failure("timeout" if unseen is None else "unavailable", detail)

    def _try(self, act: Callable[[], Any]) -> Any:
        """Return what a call answers, or why Athena did not answer it."""
        try:
            with aws.asking("Athena"):
                return act()
        except Retryable as error:
            return error

    def _start(self, query: str, parameters: Sequence[str]) -> str:
        started = self._client.start_query_execution(
            QueryString=query,
            # Athena takes a parameter for a text only when it is written as one.
            ExecutionParameters=[quote(value) for value in parameters],
            QueryExecutionContext={"Database": self._database},
            WorkGroup=self._workgroup,
        )
        execution: str = started["QueryExecutionId"]
        return execution

    def _look(self, execution: str) -> Rows | Failure | None:
        """Return the answer, or None while there is none."""
        status = self._client.get_query_execution(QueryExecutionId=execution)["QueryExecution"]["Status"]
        match status["State"]:
            case "SUCCEEDED":
                return list(read_rows(self._client.get_query_results(QueryExecutionId=execution)["ResultSet"]))
            case "FAILED":
                return Failure("unavailable", status.get("StateChangeReason", "the query failed"))
            case "CANCELLED":
                # Nobody cancels it before its time but the workgroup, by its limit.
                return Failure("too_much", status.get("StateChangeReason", "the query was cancelled"))
        return None


def quote(value: str) -> str:
    """Write a text as SQL does."""
    return "'" + value.replace("'", "''") + "'"


def read_rows(results: Mapping[str, Any]) -> Iterable[Cells]:
    """Read a first page of results, whose first row is the head; what is null has no value."""
    names = [column["Name"] for column in results["ResultSetMetadata"]["ColumnInfo"]]
    for row in results["Rows"][1:]:
        yield dict(zip(names, (cell.get("VarCharValue") for cell in row["Data"]), strict=True))
