"""Asking Athena: what is asked and how, and every way in which there is no answer."""

from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from sluice.edge.trace.athena import Athena, Failure, quote

SQL, VALUES = "SELECT ?", ("it's",)
ANSWER = {
    "ResultSet": {
        "ResultSetMetadata": {"ColumnInfo": [{"Name": "a"}, {"Name": "b"}]},
        "Rows": [
            {"Data": [{"VarCharValue": "a"}, {"VarCharValue": "b"}]},
            {"Data": [{"VarCharValue": "1"}, {}]},
        ],
    }
}
REFUSED = ClientError({"Error": {"Code": "InvalidRequestException", "Message": "no such workgroup"}}, "Start")


class Played:
    """Athena's API: executions go through the states they were given, one at each look."""

    def __init__(self, *states: Any) -> None:
        self.states = states
        self.started: list[dict[str, Any]] = []
        self.stopped: list[str] = []

    def start_query_execution(self, **request: Any) -> dict[str, str]:
        number = len(self.started)
        self.started.append(request)
        if isinstance(self.states[number], Exception):
            raise self.states[number]
        return {"QueryExecutionId": str(number)}

    def get_query_execution(self, *, QueryExecutionId: str) -> Any:  # noqa: N803 - the API's name
        states = self.states[int(QueryExecutionId)]
        state = states.pop(0) if len(states) > 1 else states[0]
        if isinstance(state, Exception):
            raise state
        name, _, reason = state.partition(": ")
        return {"QueryExecution": {"Status": {"State": name, "StateChangeReason": reason}}}

    def get_query_results(self, *, QueryExecutionId: str) -> Any:  # noqa: ARG002, N803 - the API's name
        return ANSWER

    def stop_query_execution(self, *, QueryExecutionId: str) -> None:  # noqa: N803 - the API's name
        self.stopped.append(QueryExecutionId)


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def asking(played: Any, seconds: float = 12) -> Athena:
    time = Time()
    return Athena(played, "analysts", "sluice_dev", seconds, lambda: time.now, time.sleep)


def test_rows_are_read_by_their_columns_without_the_head() -> None:
    played = Played(["QUEUED", "RUNNING", "SUCCEEDED"])
    assert asking(played).ask([SQL], VALUES) == [[{"a": "1", "b": None}]]
    assert played.started == [
        {
            "QueryString": "SELECT ?",
            "ExecutionParameters": ["'it''s'"],
            "QueryExecutionContext": {"Database": "sluice_dev"},
            "WorkGroup": "analysts",
        }
    ]
    assert played.stopped == []


@pytest.mark.parametrize(("value", "written"), [("", "''"), ("x' OR '1'='1", "'x'' OR ''1''=''1'"), ("a\\", "'a\\'")])
def test_a_value_stays_a_value(value: str, written: str) -> None:
    assert quote(value) == written


def test_what_does_not_come_in_time_is_stopped_and_the_other_answer_stands() -> None:
    played = Played(["RUNNING"], ["SUCCEEDED"])
    first, second = asking(played).ask([SQL, SQL], VALUES)
    assert isinstance(first, Failure)
    assert first.problem == "timeout"
    assert second == [{"a": "1", "b": None}]
    assert played.stopped == ["0"]


@pytest.mark.parametrize(
    ("states", "problem", "detail"),
    [
        (["FAILED: no such table"], "unavailable", "no such table"),
        (["CANCELLED: Bytes scanned limit was exceeded"], "too_much", "Bytes scanned limit was exceeded"),
        (REFUSED, "unavailable", "no such workgroup"),
        (ConnectTimeoutError(endpoint_url="athena"), "unavailable", "athena"),
    ],
)
def test_a_missing_answer_says_why(states: Any, problem: str, detail: str) -> None:
    (failure,) = asking(Played(states)).ask([SQL], VALUES)
    assert isinstance(failure, Failure)
    assert failure.problem == problem
    assert detail in failure.detail


SILENT = ConnectTimeoutError(endpoint_url="athena")


def test_a_look_that_fails_is_tried_again() -> None:
    played = Played([SILENT, "RUNNING", SILENT, SILENT, "SUCCEEDED"])
    assert asking(played).ask([SQL], VALUES) == [[{"a": "1", "b": None}]]
    assert played.stopped == []


def test_a_query_that_cannot_be_polled_is_stopped_when_the_time_is_over() -> None:
    played = Played([SILENT])
    (failure,) = asking(played).ask([SQL], VALUES)
    assert isinstance(failure, Failure)
    assert failure.problem == "unavailable"
    assert failure.detail.startswith("no answer within 12 s: Athena failed: Connect timeout")
    assert played.stopped == ["0"]


def test_a_query_that_could_be_looked_at_after_all_is_too_slow_and_not_unavailable() -> None:
    (failure,) = asking(Played([SILENT, "RUNNING"])).ask([SQL], VALUES)
    assert failure == Failure("timeout", "no answer within 12 s")


def test_a_query_that_could_not_be_stopped_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_asked: str) -> None:
        raise REFUSED

    played = Played(["RUNNING"])
    monkeypatch.setattr(played, "stop_query_execution", refuse)
    (failure,) = asking(played).ask([SQL], VALUES)
    assert isinstance(failure, Failure)
    assert failure.problem == "timeout"
    assert "the query could not be stopped: " in failure.detail
    assert "no such workgroup" in failure.detail


def test_no_look_is_begun_when_the_time_is_over() -> None:
    time = Time()

    class Slow(Played):
        def get_query_execution(self, *, QueryExecutionId: str) -> Any:  # noqa: N803 - the API's name
            time.now += 14
            return super().get_query_execution(QueryExecutionId=QueryExecutionId)

    played = Slow(["RUNNING"], ["RUNNING"])
    Athena(played, "analysts", "sluice_dev", 12, lambda: time.now, time.sleep).ask([SQL, SQL], VALUES)
    assert time.now < 15
    assert played.stopped == ["0", "1"]


def test_one_that_cannot_be_asked_does_not_keep_the_other_from_answering() -> None:
    first, second = asking(Played(REFUSED, ["SUCCEEDED"])).ask([SQL, SQL], VALUES)
    assert isinstance(first, Failure)
    assert second == [{"a": "1", "b": None}]
