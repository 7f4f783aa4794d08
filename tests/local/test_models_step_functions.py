"""The model of Step Functions: the real emulation in front of the real model of Lambda, with small functions."""

import json
import os
import signal
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.models import step_functions
from local.models.aws_client import aws_client
from local.models.config import FunctionConfig, LambdasConfig
from local.ports import Ports, address
from local.resources import check, create_aws, resolve
from local.template import Assembly
from tests.infra.machines import PREFIX, synthesize_machine
from tests.local.emulation import emulation_process
from tests.local.model_process import ModelProcess, listening, running, running_on
from tests.local.test_resources import services

REGION = "us-east-1"
ROLE = "arn:aws:iam::123456789012:role/machine"

# Each call leaves a file in the directory that its event names: what it was given, when it began and when it ended.
HANDLER = """
import json, pathlib, time, uuid

class Unavailable(Exception):
    pass

class Broken(Exception):
    pass

def leave(calls, kind, told):
    # The test looks at any moment: under its name a file is whole.
    written = calls / str(uuid.uuid4())
    written.write_text(json.dumps(told))
    written.rename(calls / f"{written.name}.{kind}")

def handler(event, context):
    began = time.monotonic()
    calls = pathlib.Path(event["calls"])
    leave(calls, "began", {"event": event, "began": began})
    count = len(list(calls.glob("*.began")))
    match event.get("do"):
        case "fail" if count <= event.get("times", 1_000):
            raise Unavailable("not yet")
        case "break":
            raise Broken("never")
        case "break late":
            time.sleep(event["seconds"])
            raise Broken("late")
        case "sleep":
            time.sleep(event["seconds"])
        case "sleep once" if count == 1:
            time.sleep(600)
    ended = {"item": event.get("item"), "began": began, "ended": time.monotonic()}
    leave(calls, "ended", ended)
    return {"count": count, "done": count >= event.get("enough", 1), "item": event.get("item")}
"""


def function(name: str, directory: Path, **changes: Any) -> FunctionConfig:
    settings: dict[str, Any] = {"memory_mb": 128, "timeout_seconds": 900.0, "concurrency": 10, "workers": 4}
    return FunctionConfig(
        name=name,
        arn=arn(name),
        handler="handler.handler",
        runtime="python3.13",
        directory=str(directory),
        environment={},
        **{**settings, **changes},
    )


def arn(name: str) -> str:
    return f"arn:aws:lambda:{REGION}:123456789012:function:{name}"


def functions(directory: Path) -> LambdasConfig:
    code = directory / "code"
    code.mkdir(exist_ok=True)
    (code / "handler.py").write_text(HANDLER)
    return LambdasConfig(
        region=REGION,
        python=sys.executable,
        directory=str(directory / "state"),
        functions=[
            function("work", code),
            function("one", code, concurrency=1, workers=1),
            # As the machine in tests/infra/machines.py names them.
            function("sluice-proof-lookup", code),
            function("sluice-proof-recall", code),
        ],
    )


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("step_functions")


@pytest.fixture(scope="module")
def lambdas(directory: Path) -> Iterator[ModelProcess]:
    with running("lambdas", functions(directory), directory) as model:
        yield model


@pytest.fixture(scope="module")
def aws(lambdas: ModelProcess, directory: Path) -> Iterator[str]:
    with emulation_process(lambdas.url, directory) as url:
        yield url


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    made = tmp_path / "calls"
    made.mkdir()
    return made


class Machine:
    """A state machine in an emulation."""

    def __init__(self, aws: str, states: dict[str, Any], **top: Any) -> None:
        self.client = aws_client("stepfunctions", aws, REGION)
        definition = {"StartAt": next(iter(states)), "States": states, **top}
        created = self.client.create_state_machine(
            name=f"m-{uuid.uuid4()}", definition=json.dumps(definition), roleArn=ROLE
        )
        self.arn: str = created["stateMachineArn"]

    @classmethod
    def of(cls, aws: str, arn: str) -> "Machine":
        """The machine that a template ordered."""
        machine = cls.__new__(cls)
        machine.client, machine.arn = aws_client("stepfunctions", aws, REGION), arn
        return machine

    def start(self, given: Any, name: str | None = None) -> str:
        named = {"name": name or f"e-{uuid.uuid4()}"}
        started = self.client.start_execution(stateMachineArn=self.arn, input=json.dumps(given), **named)
        return str(started["executionArn"])

    def end(self, execution: str) -> dict[str, Any]:
        """How an execution ended."""
        described: dict[str, Any] = until(lambda: self.ended(execution))
        return described

    def ended(self, execution: str) -> Any:
        described = self.client.describe_execution(executionArn=execution)
        return described if described["status"] != "RUNNING" else None

    def run(self, given: Any) -> dict[str, Any]:
        return self.end(self.start(given))

    def output(self, given: Any) -> Any:
        """What an execution that succeeds comes to."""
        ended = self.run(given)
        assert ended["status"] == "SUCCEEDED", f"{ended.get('error')}: {ended.get('cause')}"
        return json.loads(ended["output"])


def until(seen: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := seen():
            return found
        time.sleep(0.05)
    raise AssertionError("it never came to that")


def task(name: str = "work", **more: Any) -> dict[str, Any]:
    """A task as the CDK's LambdaInvoke writes it."""
    parameters = {"FunctionName": arn(name), "Payload.$": "$"}
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": parameters,
        "OutputPath": "$.Payload",
        **({} if "Next" in more else {"End": True}),
        **more,
    }


def by_arn(name: str = "work", **more: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": arn(name), "End": True, **more}


def retry(*errors: str, attempts: int = 3, seconds: int = 1, backoff: float = 1) -> list[dict[str, Any]]:
    limits = {"MaxAttempts": attempts, "IntervalSeconds": seconds, "BackoffRate": backoff}
    return [{"ErrorEquals": list(errors), **limits}]


def catch(*errors: str) -> dict[str, Any]:
    return {"Catch": [{"ErrorEquals": list(errors), "ResultPath": "$.failure", "Next": "Caught"}]}


def made(calls: Path, kind: str = "ended") -> list[dict[str, Any]]:
    """The calls of functions, in the order in which they began."""
    return sorted((json.loads(each.read_text()) for each in calls.glob(f"*.{kind}")), key=lambda each: each["began"])


@pytest.mark.parametrize("a_task", [task(), by_arn()], ids=["invoke", "ARN"])
def test_a_task_runs_a_function_with_its_input_and_takes_its_answer(
    aws: str, calls: Path, a_task: dict[str, Any]
) -> None:
    machine = Machine(aws, {"Work": a_task})

    assert machine.output({"calls": str(calls), "item": "ä"}) == {"count": 1, "done": True, "item": "ä"}
    assert [each["event"]["item"] for each in made(calls, "began")] == ["ä"]


@pytest.mark.parametrize("a_task", [task, by_arn], ids=["invoke", "ARN"])
def test_an_error_is_caught_by_its_name_with_its_cause_beside_the_input(
    aws: str, calls: Path, a_task: Callable[..., dict[str, Any]]
) -> None:
    machine = Machine(aws, {"Work": a_task(**catch("Broken")), "Caught": {"Type": "Pass", "End": True}})
    output = machine.output({"calls": str(calls), "do": "break"})

    assert output["do"] == "break"
    assert output["failure"]["Error"] == "Broken"
    cause = json.loads(output["failure"]["Cause"])
    assert (cause["errorType"], cause["errorMessage"]) == ("Broken", "never")


def test_an_error_of_another_name_is_not_caught_and_fails_the_execution(aws: str, calls: Path) -> None:
    machine = Machine(aws, {"Work": task(**catch("Unavailable")), "Caught": {"Type": "Succeed"}})
    ended = machine.run({"calls": str(calls), "do": "break"})

    assert (ended["status"], ended["error"]) == ("FAILED", "Broken")
    assert json.loads(ended["cause"])["errorMessage"] == "never"


@pytest.mark.parametrize("a_task", [task, by_arn], ids=["invoke", "ARN"])
def test_a_task_is_retried_by_the_name_of_its_error_with_growing_waits(
    aws: str, calls: Path, a_task: Callable[..., dict[str, Any]]
) -> None:
    machine = Machine(aws, {"Work": a_task(Retry=retry("Unavailable", backoff=2))})

    assert machine.output({"calls": str(calls), "do": "fail", "times": 2})["count"] == 3
    first, second = (after["began"] - before["began"] for before, after in pairwise(made(calls, "began")))
    assert 1 <= first < second
    assert second >= 2


def test_an_error_of_another_name_is_not_retried_and_retries_end(aws: str, calls: Path, tmp_path: Path) -> None:
    machine = Machine(aws, {"Work": task(Retry=retry("Unavailable", attempts=1))})
    others = tmp_path / "others"
    others.mkdir()

    assert machine.run({"calls": str(calls), "do": "break"})["error"] == "Broken"
    assert machine.run({"calls": str(others), "do": "fail"})["error"] == "Unavailable"
    assert (len(made(calls, "began")), len(made(others, "began"))) == (1, 2)


@pytest.mark.parametrize("a_task", [task, by_arn], ids=["invoke", "ARN"])
def test_a_throttle_has_lambdas_name_and_is_retried_by_it(
    aws: str, lambdas: ModelProcess, calls: Path, a_task: Callable[..., dict[str, Any]]
) -> None:
    states = {
        "Work": a_task("one", **catch("Lambda.TooManyRequestsException")),
        "Caught": {"Type": "Pass", "End": True},
    }
    catching = Machine(aws, states)
    retrying = Machine(aws, {"Work": a_task("one", Retry=retry("Lambda.TooManyRequestsException", attempts=10))})
    given = {"calls": str(calls), "do": "sleep", "seconds": 5}
    config = Config(retries={"total_max_attempts": 1}, read_timeout=60)
    client = aws_client("lambda", lambdas.url, REGION, config)
    with ThreadPoolExecutor() as pool:
        held = pool.submit(client.invoke, FunctionName="one", Payload=json.dumps(given))
        until(lambda: made(calls, "began"))
        waiting = retrying.start({"calls": str(calls)})
        output = catching.output({"calls": str(calls)})
        held.result()

    assert output["failure"]["Error"] == "Lambda.TooManyRequestsException"
    assert "Rate Exceeded" in output["failure"]["Cause"]
    assert retrying.end(waiting)["status"] == "SUCCEEDED"


@pytest.mark.parametrize("a_task", [task, by_arn], ids=["invoke", "ARN"])
def test_a_lambda_that_cannot_be_reached_has_the_sdks_name(
    unreachable: str, a_task: Callable[..., dict[str, Any]]
) -> None:
    states = {"Work": a_task(**catch("Lambda.SdkClientException")), "Caught": {"Type": "Pass", "End": True}}

    assert "Unable to execute HTTP request" in Machine(unreachable, states).output({})["failure"]["Cause"]


@pytest.fixture(scope="module")
def unreachable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An emulation whose functions are at a port where nothing listens."""
    with Ports() as ports:
        lambdas = f"http://{address(ports.reserve())}"
        with emulation_process(lambdas, tmp_path_factory.mktemp("unreachable")) as url:
            yield url


def test_a_killed_worker_fails_its_task_which_is_retried(aws: str, lambdas: ModelProcess, calls: Path) -> None:
    machine = Machine(aws, {"Work": task("one", Retry=retry("Runtime.ExitError"))})
    execution = machine.start({"calls": str(calls), "do": "sleep once"})
    until(lambda: made(calls, "began"))
    with urllib.request.urlopen(f"{lambdas.url}/_model/functions", timeout=10) as answer:
        (pid,) = json.load(answer)["one"]["workers"]
    os.kill(pid, signal.SIGKILL)

    assert json.loads(machine.end(execution)["output"])["count"] == 2


def test_a_killed_lambda_fails_its_tasks_which_are_retried_when_it_is_back(calls: Path, tmp_path: Path) -> None:
    settings = functions(tmp_path)
    with listening() as listener:
        lambdas = f"http://{address(listener.getsockname()[1])}"
        with emulation_process(lambdas, tmp_path) as aws:
            machine = Machine(aws, {"Work": task(Retry=retry("Lambda.SdkClientException"))})
            with running_on(listener, "lambdas", settings, tmp_path) as killed:
                execution = machine.start({"calls": str(calls), "do": "sleep once"})
                until(lambda: made(calls, "began"))
                killed.process.kill()
            with running_on(listener, "lambdas", settings, tmp_path):
                assert json.loads(machine.end(execution)["output"])["count"] == 2
            retried = [
                each["taskFailedEventDetails"]["error"]
                for each in machine.client.get_execution_history(executionArn=execution)["events"]
                if each["type"] == "TaskFailed"
            ]
    assert retried == ["Lambda.SdkClientException"]


def test_a_choice_loops_until_the_work_is_done_and_waits_between(aws: str, calls: Path) -> None:
    done = {"Variable": "$.state.done", "BooleanEquals": True, "Next": "Enough"}
    machine = Machine(
        aws,
        {
            "Poll": task(
                ResultPath="$.state", ResultSelector={"done.$": "$.Payload.done"}, OutputPath="$", Next="Done"
            ),
            "Done": {"Type": "Choice", "Choices": [done], "Default": "Pause"},
            "Pause": {"Type": "Wait", "SecondsPath": "$.seconds", "Next": "Poll"},
            "Enough": {"Type": "Wait", "Seconds": 1, "Next": "Report"},
            "Report": {"Type": "Pass", "Parameters": {"polled.$": "$.state.done"}, "Next": "End"},
            "End": {"Type": "Succeed"},
        },
    )

    assert machine.output({"calls": str(calls), "enough": 3, "seconds": 1}) == {"polled": True}
    gaps = [after["began"] - before["began"] for before, after in pairwise(made(calls, "began"))]
    assert len(gaps) == 2
    assert min(gaps) >= 1


def test_a_fail_state_ends_the_execution_with_its_error_and_cause(aws: str) -> None:
    ended = Machine(aws, {"Refuse": {"Type": "Fail", "Error": "Refused", "Cause": "the world changed"}}).run({})

    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "Refused", "the world changed")


def test_a_task_and_a_machine_that_take_too_long_are_timed_out(aws: str, calls: Path) -> None:
    given = {"calls": str(calls), "do": "sleep", "seconds": 4}
    states = {"Work": task(TimeoutSeconds=1, **catch("States.Timeout")), "Caught": {"Type": "Pass", "End": True}}
    slow = Machine(aws, {"Pause": {"Type": "Wait", "Seconds": 600, "End": True}}, TimeoutSeconds=1)

    assert Machine(aws, states).output(given)["failure"]["Error"] == "States.Timeout"
    assert slow.run({})["status"] == "TIMED_OUT"


def a_map(child: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A distributed map over the JSON array at the bucket and key of the input, as the CDK writes it."""
    return {
        "Type": "Map",
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Child",
            "States": {"Child": child},
        },
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSON"},
            "Parameters": {"Bucket.$": "$.bucket", "Key.$": "$.key"},
        },
        "End": True,
        **more,
    }


def selected(do: str = "nothing", seconds: float = 0.5) -> dict[str, Any]:
    return {
        "ItemSelector": {
            "calls.$": "$.calls",
            "item.$": "$$.Map.Item.Value.file",
            "index.$": "$$.Map.Item.Index",
            "do": do,
            "seconds": seconds,
        }
    }


def manifest(aws: str, items: list[Any]) -> dict[str, str]:
    """A JSON array in a bucket, as a state's input names it."""
    s3 = aws_client("s3", aws, REGION)
    s3.create_bucket(Bucket="manifests")
    key = f"{uuid.uuid4()}/items.json"
    s3.put_object(Bucket="manifests", Key=key, Body=json.dumps(items).encode())
    return {"bucket": "manifests", "key": key}


def test_a_distributed_map_runs_a_child_for_each_item_of_a_file_and_keeps_their_order(aws: str, calls: Path) -> None:
    machine = Machine(aws, {"Each": a_map(task(), **selected("sleep"), MaxConcurrency=2)})
    files = [{"file": f"f{number}"} for number in range(6)]
    output = machine.output({"calls": str(calls), **manifest(aws, files)})

    assert [each["item"] for each in output] == [each["file"] for each in files]
    assert {each["event"]["index"] for each in made(calls, "began")} == set(range(6))
    assert most_at_once(calls) == 2


def test_a_maps_concurrency_comes_from_its_input_too(aws: str, calls: Path) -> None:
    machine = Machine(aws, {"Each": a_map(task(), **selected("sleep"), MaxConcurrencyPath="$.limit")})
    files = [{"file": f"f{number}"} for number in range(3)]
    output = machine.output({"calls": str(calls), "limit": 1, **manifest(aws, files)})

    assert len(output) == 3
    assert most_at_once(calls) == 1


def most_at_once(calls: Path) -> int:
    ran = made(calls)
    return max(sum(bool(other["began"] <= each["began"] < other["ended"]) for other in ran) for each in ran)


def test_a_worker_of_a_map_has_thousands_of_items(aws: str) -> None:
    child = {"Type": "Pass", "End": True}
    machine = Machine(aws, {"Each": a_map(child, MaxConcurrency=1, ResultPath=None)})

    assert machine.output(manifest(aws, list(range(2_000))))["bucket"] == "manifests"


@pytest.mark.parametrize(
    ("tolerated", "status"),
    [
        ({}, "FAILED"),
        ({"ToleratedFailureCount": 1}, "SUCCEEDED"),
        ({"ToleratedFailurePercentage": 50.5}, "SUCCEEDED"),
        ({"ToleratedFailureCount": 1, "ToleratedFailurePercentage": 49.5}, "FAILED"),
    ],
)
def test_a_map_fails_when_more_children_failed_than_it_tolerates(
    aws: str, calls: Path, tolerated: dict[str, int], status: str
) -> None:
    odd = {"Variable": "$.item", "StringEquals": "odd", "Next": "Fail"}
    child = {"Type": "Choice", "Choices": [odd], "Default": "Succeed"}
    each = a_map(child, **selected(), **tolerated)
    each["ItemProcessor"]["States"] |= {"Fail": {"Type": "Fail", "Error": "Odd"}, "Succeed": {"Type": "Succeed"}}
    machine = Machine(aws, {"Each": each})
    given = {"calls": str(calls), **manifest(aws, [{"file": "even"}, {"file": "odd"}])}
    execution = machine.start(given)
    ended = machine.end(execution)

    assert (ended["status"], ended.get("error")) == (
        status,
        "States.ExceedToleratedFailureThreshold" if status == "FAILED" else None,
    )
    (run,) = machine.client.list_map_runs(executionArn=execution)["mapRuns"]
    described = machine.client.describe_map_run(mapRunArn=run["mapRunArn"])
    assert described["status"] == status
    assert (described["itemCounts"]["succeeded"], described["itemCounts"]["failed"]) == (1, 1)


def test_a_map_that_fails_is_caught_by_its_name(aws: str, calls: Path) -> None:
    each = a_map(task(), **selected("break"), **catch("States.ExceedToleratedFailureThreshold"))
    machine = Machine(aws, {"Each": each, "Caught": {"Type": "Pass", "End": True}})
    output = machine.output({"calls": str(calls), **manifest(aws, [{"file": "one"}, {"file": "two"}])})

    assert output["failure"]["Error"] == "States.ExceedToleratedFailureThreshold"
    assert output["bucket"] == "manifests"


def test_a_map_whose_items_cannot_be_read_is_caught_by_its_name(aws: str) -> None:
    each = a_map({"Type": "Pass", "End": True}, **catch("States.ItemReaderFailed"))
    machine = Machine(aws, {"Each": each, "Caught": {"Type": "Pass", "End": True}})
    output = machine.output({**manifest(aws, []), "key": "nowhere"})

    assert output["failure"]["Error"] == "States.ItemReaderFailed"
    assert "NoSuchKey" in output["failure"]["Cause"]


def test_a_map_without_items_succeeds(aws: str) -> None:
    assert Machine(aws, {"Each": a_map({"Type": "Pass", "End": True})}).output(manifest(aws, [])) == []


def test_children_of_a_map_are_retried_one_by_one(aws: str, calls: Path) -> None:
    machine = Machine(aws, {"Each": a_map(task(Retry=retry("Unavailable")), **selected("fail"), MaxConcurrency=1)})
    each = machine.client.describe_state_machine(stateMachineArn=machine.arn)
    assert each["type"] == "STANDARD"
    ended = machine.run({"calls": str(calls), **manifest(aws, [{"file": "one"}])})

    assert ended["error"] == "States.ExceedToleratedFailureThreshold"
    assert len(made(calls, "began")) == 4


def test_a_stopped_execution_starts_no_further_child_and_is_aborted(aws: str, calls: Path) -> None:
    # Long enough that no second child is about to begin when the first is seen.
    machine = Machine(aws, {"Each": a_map(task(), **selected("sleep", seconds=2), MaxConcurrency=1)})
    files = [{"file": f"f{number}"} for number in range(20)]
    execution = machine.start({"calls": str(calls), **manifest(aws, files)})
    until(lambda: made(calls, "began"))
    machine.client.stop_execution(executionArn=execution)

    assert machine.ended(execution)["status"] == "ABORTED"
    begun = len(made(calls, "began"))
    assert begun < len(files)
    time.sleep(3)
    assert len(made(calls, "began")) == begun
    assert machine.ended(execution)["status"] == "ABORTED"


def test_an_execution_that_was_stopped_before_its_task_failed_is_aborted(aws: str, calls: Path) -> None:
    machine = Machine(aws, {"Work": task()})
    execution = machine.start({"calls": str(calls), "do": "break late", "seconds": 1})
    until(lambda: made(calls, "began"))
    machine.client.stop_execution(executionArn=execution)
    until(lambda: history(machine, execution)[-1] != "TaskStarted")

    assert machine.ended(execution)["status"] == "ABORTED"
    assert history(machine, execution)[-1] == "ExecutionAborted"


def test_an_execution_may_be_stopped_as_soon_as_it_is_started(aws: str) -> None:
    machine = Machine(aws, {"Pause": {"Type": "Wait", "Seconds": 600, "End": True}})
    execution = machine.start({})
    stopped = machine.client.stop_execution(executionArn=execution)

    assert stopped["stopDate"]
    assert machine.ended(execution)["status"] == "ABORTED"


def history(machine: Machine, execution: str) -> list[str]:
    """The types of what has happened in an execution."""
    return [each["type"] for each in machine.client.get_execution_history(executionArn=execution)["events"]]


def test_a_stopped_execution_waits_no_longer(aws: str) -> None:
    machine = Machine(aws, {"Pause": {"Type": "Wait", "Seconds": 600, "Next": "End"}, "End": {"Type": "Succeed"}})
    execution = machine.start({})
    until(lambda: "WaitStateEntered" in history(machine, execution))
    machine.client.stop_execution(executionArn=execution)

    until(lambda: history(machine, execution)[-1] == "ExecutionAborted")


def test_a_name_is_taken_once_and_starting_it_again_while_it_runs_is_the_same_execution(aws: str) -> None:
    machine = Machine(aws, {"Pause": {"Type": "Wait", "Seconds": 600, "End": True}})
    taken = machine.client.exceptions.ExecutionAlreadyExists
    execution = machine.start({"plan": 1}, name="replay-1")

    assert machine.start({"plan": 1}, name="replay-1") == execution
    with pytest.raises(taken):
        machine.start({"plan": 2}, name="replay-1")
    machine.client.stop_execution(executionArn=execution)
    with pytest.raises(taken):
        machine.start({"plan": 1}, name="replay-1")


def test_executions_without_a_name_are_separate(aws: str) -> None:
    machine = Machine(aws, {"End": {"Type": "Succeed"}})
    started = [machine.client.start_execution(stateMachineArn=machine.arn)["executionArn"] for _ in range(2)]

    assert [machine.end(each)["status"] for each in started] == ["SUCCEEDED", "SUCCEEDED"]
    assert len(set(started)) == 2


def test_executions_are_listed_by_their_status_and_tell_their_history(aws: str, calls: Path) -> None:
    machine = Machine(aws, {"Work": task()})
    good, bad = machine.start({"calls": str(calls)}), machine.start({"calls": str(calls), "do": "break"})
    for each in (good, bad):
        machine.end(each)

    def listed(status: str) -> list[str]:
        found = machine.client.list_executions(stateMachineArn=machine.arn, statusFilter=status)["executions"]
        return [each["executionArn"] for each in found]

    assert (listed("SUCCEEDED"), listed("FAILED"), listed("RUNNING")) == ([good], [bad], [])
    told = history(machine, bad)
    assert told[0] == "ExecutionStarted"
    assert told[-2:] == ["TaskFailed", "ExecutionFailed"]


def test_a_machine_as_our_templates_have_it_runs(aws: str, calls: Path, tmp_path: Path) -> None:
    synthesized = synthesize_machine(tmp_path / "cdk").templates
    assembly = Assembly.of({stack: synthesized.template(stack) for stack in synthesized.files})
    check(assembly)
    plan = resolve(assembly, services(tmp_path, aws))
    create_aws(plan)
    (created,) = plan.all("AWS::StepFunctions::StateMachine")
    (bucket,) = plan.buckets.values()
    body = json.dumps([{"file": "one"}, {"file": "two"}]).encode()
    aws_client("s3", aws, REGION).put_object(Bucket=bucket, Key=f"{PREFIX}plan.json", Body=body)
    machine = Machine.of(aws, plan.name(created))
    given = {"calls": str(calls), "enough": 2, "seconds": 1, "at_once": 2, "key": f"{PREFIX}plan.json"}

    assert [each["item"] for each in machine.output(given)["copied"]] == ["one", "two"]
    failed = machine.run({**given, "do": "break"})
    assert (failed["status"], failed["error"]) == ("FAILED", "Broken")
    assert json.loads(failed["cause"])["errorMessage"] == "never"


def test_a_definition_that_is_none_is_refused(aws: str) -> None:
    with pytest.raises(ClientError, match="mismatched input '\"Goto\"'"):
        Machine(aws, {"Nowhere": {"Type": "Goto"}})


def test_another_release_of_moto_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_functions, "version", lambda _name: "6.0.0")

    with pytest.raises(RuntimeError, match="moto is 6"):
        step_functions.execute_state_machines("http://127.0.0.1:1", "http://127.0.0.1:2")
