"""The model of Lambda, with real functions under AWS's own runtime client and AWS's own client in front of it."""

import json
import os
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.models.aws_client import aws_client
from local.models.config import FunctionConfig, LambdasConfig
from tests.local.model_process import ModelProcess, running

HANDLER = """
import json, os, sys, time, layered
starts = time.time()

def handler(event, context):
    match event.get("do"):
        case "fail":
            raise ValueError("no good")
        case "sleep":
            time.sleep(event["seconds"])
        case "exit":
            os._exit(event["code"])
        case "large":
            return "x" * event["size"]
        case "environment":
            return dict(os.environ)
        case "print":
            print("said", event["word"])
    return {
        "pid": os.getpid(),
        "starts": starts,
        "layer": layered.NAME,
        "event": event,
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "name": context.function_name,
        "memory": context.memory_limit_in_mb,
        "remaining_ms": context.get_remaining_time_in_millis(),
        "cwd": os.getcwd(),
    }
"""


def function(name: str, directory: Path, layer: Path, **changes: Any) -> FunctionConfig:
    settings: dict[str, Any] = {
        "handler": "handler.handler",
        "runtime": "python3.13",
        "memory_mb": 256,
        "timeout_seconds": 20.0,
        "concurrency": 10,
        "workers": 1,
        "environment": {"OWN": "value"},
        "layers": [str(layer)],
        "log_format": "JSON",
        "log_level": "INFO",
    }
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
    return FunctionConfig(name=name, arn=arn, directory=str(directory), **{**settings, **changes})


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lambdas")


@pytest.fixture(scope="module")
def lambdas(directory: Path) -> Iterator[ModelProcess]:
    (directory / "layer").mkdir()
    (directory / "layer" / "layered.py").write_text("NAME = 'a layer'\n")
    for name, code in {
        "echo": HANDLER,
        "broken": "import no_such_module\n",
        "dies": "import os; os._exit(3)\n",
    }.items():
        (directory / name).mkdir()
        (directory / name / "handler.py").write_text(code)
    layer = directory / "layer"
    settings = LambdasConfig(
        region="us-east-1",
        python=sys.executable,
        directory=str(directory / "state"),
        functions=[
            function("echo", directory / "echo", layer),
            function("two", directory / "echo", layer, workers=2, concurrency=2),
            function("short", directory / "echo", layer, timeout_seconds=0.5),
            function("ready", directory / "echo", layer, workers=2, started=2),
            function("broken", directory / "broken", layer, started=1),
            function("dies", directory / "dies", layer),
            function("gone", directory / "nowhere", layer),
        ],
    )
    with running("lambdas", settings, directory) as model:
        yield model


@pytest.fixture(scope="module")
def client(lambdas: ModelProcess) -> Any:
    config = Config(retries={"total_max_attempts": 1}, read_timeout=60, max_pool_connections=20)
    return aws_client("lambda", lambdas.url, "us-east-1", config)


def invoke(client: Any, name: str, event: Any) -> Any:
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event))
    assert "FunctionError" not in answer
    return json.load(answer["Payload"])


def failure(client: Any, name: str, event: Any) -> Any:
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event))
    assert answer["StatusCode"] == 200
    assert answer["FunctionError"] == "Unhandled"
    return json.load(answer["Payload"])


def test_a_function_runs_with_its_event_context_and_layer(client: Any, directory: Path) -> None:
    answer = client.invoke(FunctionName="echo", Payload=json.dumps({"a": "ä"}))
    result = json.load(answer["Payload"])

    assert answer["ExecutedVersion"] == "$LATEST"
    assert result["event"] == {"a": "ä"}
    assert result["layer"] == "a layer"
    assert result["request_id"] == answer["ResponseMetadata"]["RequestId"]
    assert result["arn"] == "arn:aws:lambda:us-east-1:123456789012:function:echo"
    assert (result["name"], result["memory"]) == ("echo", "256")
    assert 0 < result["remaining_ms"] <= 20_000
    assert Path(result["cwd"]) == directory / "echo"


@pytest.mark.parametrize(
    "reference",
    [
        "arn:aws:lambda:us-east-1:123456789012:function:echo",
        "arn:aws:lambda:us-east-1:123456789012:function:echo:1",
        "123456789012:function:echo",
    ],
)
def test_an_arn_names_a_function_too(client: Any, reference: str) -> None:
    assert invoke(client, reference, {})["name"] == "echo"


def test_a_function_sees_what_lambda_sets_and_its_own_variables_and_nothing_else(client: Any) -> None:
    environment = invoke(client, "echo", {"do": "environment"})

    assert environment["OWN"] == "value"
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "us-east-1"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "echo"
    assert environment["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.13"
    assert environment["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    assert not {"HOME", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST", "USER"} & set(environment)


def test_what_is_started_with_the_model_serves_the_first_invocations(client: Any, lambdas: ModelProcess) -> None:
    with urllib.request.urlopen(f"{lambdas.url}/_model/functions", timeout=10) as answer:
        workers = json.load(answer)["ready"]["workers"]
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda _: invoke(client, "ready", {"do": "sleep", "seconds": 0.5}), range(2)))

    assert {each["pid"] for each in results} == set(workers)
    assert invoke(client, "ready", {"do": "environment"})["AWS_LAMBDA_INITIALIZATION_TYPE"] == "provisioned-concurrency"


def test_an_environment_is_kept_and_used_again(client: Any) -> None:
    first, second = invoke(client, "echo", {}), invoke(client, "echo", {})

    assert first["pid"] == second["pid"]


def test_an_exception_is_an_unhandled_error_and_the_environment_lives_on(client: Any) -> None:
    before = invoke(client, "echo", {})["pid"]
    error = failure(client, "echo", {"do": "fail"})

    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "no good")
    assert invoke(client, "echo", {})["pid"] == before


def test_a_timeout_kills_the_environment_and_the_next_invocation_gets_a_new_one(client: Any) -> None:
    before = invoke(client, "short", {})["pid"]
    error = failure(client, "short", {"do": "sleep", "seconds": 30})

    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Task timed out after 0.50 seconds")
    assert invoke(client, "short", {})["pid"] != before


@pytest.mark.parametrize(
    ("code", "how"), [(0, "exited without providing a reason"), (7, "exited with error: exit status 7")]
)
def test_a_function_that_exits_fails_its_invocation_alone(client: Any, code: int, how: str) -> None:
    error = failure(client, "echo", {"do": "exit", "code": code})

    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith(f"Error: Runtime {how}")
    assert invoke(client, "echo", {})["layer"] == "a layer"


def test_a_killed_environment_fails_its_invocation_alone(client: Any) -> None:
    pid = invoke(client, "echo", {})["pid"]
    with ThreadPoolExecutor() as pool:
        running_on = pool.submit(failure, client, "echo", {"do": "sleep", "seconds": 15})
        time.sleep(0.3)
        os.kill(pid, signal.SIGKILL)
        error = running_on.result()

    assert error["errorType"] == "Runtime.ExitError"
    assert "signal: killed" in error["errorMessage"]
    assert invoke(client, "echo", {})["pid"] != pid


def test_an_environment_killed_while_idle_costs_no_invocation(client: Any) -> None:
    pid = invoke(client, "echo", {})["pid"]
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.3)

    assert invoke(client, "echo", {})["pid"] != pid


def test_a_function_that_cannot_be_imported_says_why(client: Any) -> None:
    error = failure(client, "broken", {})

    assert error["errorType"] == "Runtime.ImportModuleError"
    assert "no_such_module" in error["errorMessage"]


def test_a_function_whose_code_is_gone_fails_and_does_not_hang(client: Any) -> None:
    assert failure(client, "gone", {})["errorType"] == "Runtime.ExitError"


def test_a_function_that_dies_while_it_starts_fails_each_invocation_once(client: Any) -> None:
    with ThreadPoolExecutor() as pool:
        errors = list(pool.map(lambda _: failure(client, "dies", {}), range(3)))

    assert {error["errorType"] for error in errors} == {"Runtime.ExitError"}


def test_invocations_beyond_the_concurrency_are_throttled_and_none_before(client: Any) -> None:
    invoke(client, "two", {})
    with ThreadPoolExecutor() as pool:
        held = [pool.submit(invoke, client, "two", {"do": "sleep", "seconds": 2}) for _ in range(2)]
        time.sleep(0.5)
        with pytest.raises(client.exceptions.TooManyRequestsException) as throttled:
            client.invoke(FunctionName="two", Payload="{}")
        pids = {each.result()["pid"] for each in held}

    assert throttled.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert throttled.value.response["ResponseMetadata"]["RequestId"]
    assert throttled.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert len(pids) == 2


def test_invocations_beyond_the_workers_wait_for_one(client: Any) -> None:
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda _: invoke(client, "echo", {"do": "sleep", "seconds": 0.05}), range(6)))

    assert len({each["pid"] for each in results}) == 1


def test_an_unknown_function_is_not_found(client: Any) -> None:
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName="missing")


def test_a_request_above_six_megabytes_is_refused(client: Any) -> None:
    with pytest.raises(client.exceptions.RequestTooLargeException):
        client.invoke(FunctionName="echo", Payload=b'"' + b"x" * (6 * 1024 * 1024) + b'"')


def test_an_answer_above_six_megabytes_is_an_error_of_the_function(client: Any) -> None:
    assert len(invoke(client, "echo", {"do": "large", "size": 6_000_000})) == 6_000_000

    error = failure(client, "echo", {"do": "large", "size": 6_400_000})

    assert error["errorType"] == "Function.ResponseSizeTooLarge"


def test_other_invocation_types_are_refused_by_name(client: Any) -> None:
    with pytest.raises(ClientError, match="no Event invocations"):
        client.invoke(FunctionName="echo", InvocationType="Event")


def test_what_a_function_prints_is_in_its_log(client: Any, directory: Path) -> None:
    invoke(client, "echo", {"do": "print", "word": "something to find"})

    assert "said something to find" in (directory / "state" / "echo.log").read_text()


def test_environments_end_with_the_model_even_when_it_is_killed(tmp_path: Path, directory: Path) -> None:
    settings = LambdasConfig(
        region="us-east-1",
        python=sys.executable,
        directory=str(tmp_path / "state"),
        functions=[function("echo", directory / "echo", directory / "layer")],
    )
    with running("lambdas", settings, tmp_path) as model:
        client = aws_client("lambda", model.url, "us-east-1")
        pid = invoke(client, "echo", {})["pid"]
        model.process.kill()
        model.process.wait()
        assert _ends(pid)


def _ends(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        threading.Event().wait(0.05)
    return False
