"""The model of Athena, asked by AWS's own client, over files on the AWS emulation."""

import json
import time
import urllib.request
from collections.abc import Iterator
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cli import local_athena
from cli.stages import CommandError
from infra.stores.catalog import SQL
from local.models.athena import MOST_EXECUTIONS, Refused, read_parameter, write_value
from local.models.aws_client import aws_client
from local.models.config import AthenaConfig
from local.resources import create_aws, resolve
from local.resources.configure import athena as configure
from local.template import Assembly
from sluice.edge.trace.athena import Athena, Failure
from tests.infra.templates import synthesize
from tests.infra.test_trace_queries import ID, Lake, by_id
from tests.local.emulation import emulated_aws
from tests.local.model_process import ModelProcess, running
from tests.local.test_resources import services

REGION = "us-east-1"
EVENT = (SQL / "event_by_id.sql").read_text()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ModelProcess, AthenaConfig]]:
    directory = tmp_path_factory.mktemp("athena")
    synthesize("test", directory / "cdk")
    with emulated_aws() as aws:
        plan = resolve(Assembly.load(directory / "cdk"), services(directory, aws))
        create_aws(plan)
        s3 = aws_client("s3", aws, REGION)
        file = Lake(directory).store({"kafka_offset": 7, "flags": ["late_arrival"], "metrics": [("cpu_temp", 1.5)]})
        raw = plan.buckets["LakeBucketsRaw"]
        s3.put_object(
            Bucket=raw,
            Key="raw/region=us-east-1/dt=2026-03-01/a.parquet",
            Body=Path(file.removeprefix("s3://")).read_bytes(),
        )
        with running("athena", configure(plan), directory) as model:
            yield model, configure(plan)


@pytest.fixture
def client(started: tuple[ModelProcess, AthenaConfig]) -> Iterator[Any]:
    yield aws_client("athena", started[0].url, REGION)
    misbehave(started[0])


@pytest.fixture
def model(started: tuple[ModelProcess, AthenaConfig]) -> ModelProcess:
    return started[0]


def misbehave(model: ModelProcess, **faults: Any) -> None:
    request = urllib.request.Request(f"{model.url}/_model/faults", json.dumps(faults).encode(), method="POST")
    urllib.request.urlopen(request).close()


def start(client: Any, sql: str, *parameters: str, workgroup: str = "sluice-proof-analysts") -> str:
    named = {"ExecutionParameters": list(parameters)} if parameters else {}
    context = {"Database": "sluice_proof"}
    asked = client.start_query_execution(QueryString=sql, QueryExecutionContext=context, WorkGroup=workgroup, **named)
    execution: str = asked["QueryExecutionId"]
    return execution


def settle(client: Any, execution: str) -> dict[str, Any]:
    """The execution's status once it has ended."""
    deadline = time.monotonic() + 30
    while True:
        status: dict[str, Any] = client.get_query_execution(QueryExecutionId=execution)["QueryExecution"]["Status"]
        if status["State"] not in ("QUEUED", "RUNNING"):
            return status
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ask(client: Any, sql: str, *parameters: str) -> list[list[str | None]]:
    """The rows of a query, the head first."""
    execution = start(client, sql, *parameters)
    assert settle(client, execution)["State"] == "SUCCEEDED"
    rows = client.get_query_results(QueryExecutionId=execution)["ResultSet"]["Rows"]
    return [[cell.get("VarCharValue") for cell in row["Data"]] for row in rows]


def test_the_workgroup_is_the_templates(started: tuple[ModelProcess, AthenaConfig]) -> None:
    assert started[1].workgroups == ["sluice-proof-analysts"]


def test_our_own_client_gets_rows_with_the_path_of_their_file(model: ModelProcess) -> None:
    athena = Athena(aws_client("athena", model.url, REGION), "sluice-proof-analysts", "sluice_proof", 30)
    (rows,) = athena.ask([EVENT], by_id())
    assert not isinstance(rows, Failure)
    (row,) = rows
    assert (row["kafka_offset"], row["late_arrival"], row["clock_ahead"]) == ("7", "true", "false")
    assert (row["received_at"], row["firmware"]) == ("2026-03-01 12:00:00.000", None)
    assert str(row["file"]).startswith("s3://")
    assert str(row["file"]).endswith("/raw/region=us-east-1/dt=2026-03-01/a.parquet")


def test_make_query_reads_every_page_and_says_what_is_wrong(model: ModelProcess) -> None:
    run = partial(local_athena.run, model.url, "sluice-proof-analysts", "sluice_proof")
    columns, rows = run("SELECT x, x % 2 = ? AS odd FROM range(2500) AS numbers (x)", ["1"])
    assert (columns, len(rows), rows[-1]) == (["x", "odd"], 2500, ("2499", "true"))
    with pytest.raises(CommandError, match="no_such_column"):
        run("SELECT no_such_column FROM raw_events", [])
    with pytest.raises(CommandError, match="nowhere"):
        local_athena.run(model.url, "nowhere", "sluice_proof", "SELECT 1", [])
    with pytest.raises(CommandError, match="does not answer"):
        local_athena.run("http://127.0.0.1:9", "sluice-proof-analysts", "sluice_proof", "SELECT 1", [])


def test_the_model_forgets_the_oldest_executions(client: Any) -> None:
    first = start(client, "SELECT 1")
    for _ in range(MOST_EXECUTIONS):
        start(client, "SELECT 1")
    with pytest.raises(ClientError, match="InvalidRequestException"):
        client.get_query_execution(QueryExecutionId=first)


def test_a_table_without_files_is_empty(client: Any) -> None:
    assert len(ask(client, (SQL / "dead_letters_by_id.sql").read_text(), *(f"'{value}'" for value in by_id()))) == 1


def test_values_are_written_as_athena_writes_them(client: Any) -> None:
    sql = "SELECT 1, 1.5, 'x', true, NULL, flags, metrics, received_at FROM raw_events WHERE event_id = ?"
    assert ask(client, sql, f"'{ID}'")[1] == [
        "1",
        "1.5",
        "x",
        "true",
        None,
        "[late_arrival]",
        "{cpu_temp=1.5}",
        "2026-03-01 12:00:00.000",
    ]


def test_results_come_in_pages_and_the_head_is_the_first_row_of_the_first(client: Any) -> None:
    execution = start(client, "SELECT * FROM range(5) AS numbers(n)")
    settle(client, execution)
    pages = client.get_paginator("get_query_results").paginate(
        QueryExecutionId=execution, PaginationConfig={"PageSize": 2}
    )
    found = [[row["Data"][0]["VarCharValue"] for row in page["ResultSet"]["Rows"]] for page in pages]
    assert found == [["n", "0"], ["1", "2"], ["3", "4"]]


def test_a_query_that_fails_says_why(client: Any) -> None:
    status = settle(client, start(client, "SELECT nothing FROM nowhere"))
    assert status["State"] == "FAILED"
    assert "nowhere" in status["StateChangeReason"]


def test_a_query_that_is_stopped_has_no_results(client: Any, model: ModelProcess) -> None:
    misbehave(model, delay_seconds=30)
    execution = start(client, "SELECT 1")
    client.stop_query_execution(QueryExecutionId=execution)
    assert settle(client, execution)["State"] == "CANCELLED"
    with pytest.raises(ClientError, match="Final query state: CANCELLED"):
        client.get_query_results(QueryExecutionId=execution)


def test_one_that_takes_too_long_is_given_up_by_our_client(client: Any, model: ModelProcess) -> None:
    misbehave(model, delay_seconds=30)
    (failure,) = Athena(client, "sluice-proof-analysts", "sluice_proof", 1).ask(["SELECT ?"], ["x"])
    assert isinstance(failure, Failure)
    assert failure.problem == "timeout"


@pytest.mark.parametrize(
    ("sql", "parameters", "workgroup", "why"),
    [
        ("SELECT 1", (), "primary", "WorkGroup primary is not found"),
        ("SELECT ?", ("2026-03-01",), "sluice-proof-analysts", "is no literal"),
    ],
)
def test_what_it_cannot_do_is_refused_with_the_apis_error(
    client: Any, sql: str, parameters: tuple[str, ...], workgroup: str, why: str
) -> None:
    with pytest.raises(ClientError, match=why):
        start(client, sql, *parameters, workgroup=workgroup)


def test_an_unknown_execution_and_a_refusal_on_demand_are_errors(client: Any, model: ModelProcess) -> None:
    with pytest.raises(ClientError, match="was not found"):
        client.get_query_execution(QueryExecutionId="none")
    misbehave(model, refuse=True)
    with pytest.raises(ClientError, match="told to refuse"):
        start(client, "SELECT 1")


def test_a_parameter_is_a_literal() -> None:
    assert [read_parameter(text) for text in ("''", "'it''s'", "' OR 1=1'", "7", "-1.5")] == [
        "",
        "it's",
        " OR 1=1",
        7,
        -1.5,
    ]
    for text in ("x", "'a' OR 'b'", "'a", "1+1", ""):
        with pytest.raises(Refused):
            read_parameter(text)


def test_what_has_no_zone_is_written_without_one() -> None:
    moment = datetime(2026, 3, 1, 12, 0, 0, 250_600)  # noqa: DTZ001 - as Athena has it
    assert write_value(moment) == "2026-03-01 12:00:00.250"
    assert write_value(date(2026, 3, 1)) == "2026-03-01"
    assert write_value(None) is None
