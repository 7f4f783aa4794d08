"""A model of Step Functions: the interpreter that the AWS emulation brings, in front of our model of Lambda.

Modelled, and shown by tests: Task (`lambda:invoke`, and a function's ARN as the resource), Choice and loops through
it, Wait, Pass, Succeed and Fail; Retry by the name of an error, with its backoff, and Catch with a ResultPath; a
distributed Map over a JSON array in S3, with ItemSelector and MaxConcurrency, as a number or a path, which fails when
more children failed than it tolerates; the names of executions, which are taken once; StopExecution, which ends a Wait
and starts nothing more. What a function raises has its name in AWS: its `errorType`, `Lambda.TooManyRequestsException`
for a throttle, `Lambda.SdkClientException` where Lambda cannot be reached.

Not modelled: permissions, and every quota (25,000 events of a history, the rate of transitions, open executions, names
that are free again after 90 days); redrive; EXPRESS machines, versions and aliases; JSONata; ResultWriter, which writes
its manifest alone; ItemBatcher and a ToleratedFailurePercentage in whole numbers, which moto refuses, and items in JSON
Lines, Parquet or an inventory. Children of a distributed Map are no executions of their own: no one can describe, list
or stop one, and their histories are lost. AWS ends a run at the failure that it does not tolerate; here the other items
still run. Executions live in the memory of the emulation and end with it.

Everything of moto that is replaced stands below, and is written for one release of it: another one stops the start.
"""

import io
import sys
import threading
import time
import uuid
from collections.abc import Callable
from importlib.metadata import version
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from moto.core.config import default_user_config
from moto.stepfunctions.parser.api import ExecutionStatus, HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_reader.eval.resource_eval_s3 import (
    ResourceEvalS3,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.distributed_iteration_component import (
    DistributedIterationComponent,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task_lambda import StateTaskLambda
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped
from moto.stepfunctions.parser.asl.utils import boto_client
from moto.stepfunctions.parser.backend.execution import Execution
from moto.stepfunctions.parser.models import StepFunctionsParserBackend

RELEASE = "5.2.5"

#: A worker of a distributed Map calls itself for each of its items.
ITEMS_A_WORKER = 20_000


def execute_state_machines(aws: str, lambdas: str) -> None:
    """Let the emulation of this process run state machines: their functions in our model, all else in itself."""
    if version("moto") != RELEASE:
        raise RuntimeError(f"moto is {version('moto')}; what is replaced of it was written for {RELEASE}")
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    sys.setrecursionlimit(ITEMS_A_WORKER)
    # The interpreter makes all of its clients in this module, for a port that only an environment variable changes.
    _replace(boto_client, "boto3", lambda _boto3: SimpleNamespace(client=_Clients(aws, lambdas).client))
    _replace(StepFunctionsParserBackend, "start_execution", _with_a_name)
    _replace(StateTaskLambda, "_from_error", _with_lambdas_error)
    _replace(DistributedIterationComponent, "_map_run", _with_tolerance)
    _replace(ResourceEvalS3, "eval_resource", _with_readers_error)
    _replace(Execution, "stop", _at_once)
    _replace(Environment, "set_error", _unless_stopped)


def _replace(owner: type | ModuleType, name: str, replacement: Callable[[Any], Any]) -> None:
    setattr(owner, name, replacement(vars(owner)[name]))


class _Clients:
    """One client of each service: boto3 cannot make two at a time, and children of a Map ask at the same time."""

    def __init__(self, aws: str, lambdas: str) -> None:
        self._aws = aws
        self._lambdas = lambdas
        self._made: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def client(self, *, service_name: str, region_name: str, endpoint_url: str, **options: Any) -> Any:
        """Return a client; the endpoint is moto's own guess."""
        del endpoint_url
        with self._lock:
            if (service_name, region_name) not in self._made:
                endpoint = self._lambdas if service_name == "lambda" else self._aws
                made = boto3.client(  # type: ignore[call-overload]  # typed for literal names only
                    service_name, region_name=region_name, endpoint_url=endpoint, **options
                )
                self._made[service_name, region_name] = _Lambda(made) if service_name == "lambda" else made
            return self._made[service_name, region_name]


class _Lambda:
    """Lambda's client as the interpreter uses it. Where Lambda cannot be reached, the error has its name in AWS."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def invoke(self, **parameters: Any) -> Any:
        """Run a function to its end, and read its answer whole: a connection may break on the way."""
        try:
            answer = self._client.invoke(**parameters)
            return {**answer, "Payload": io.BytesIO(answer["Payload"].read())}
        except BotoCoreError as error:
            described: Any = {
                "Error": {"Code": "SdkClientException", "Message": f"Unable to execute HTTP request: {error}"},
                "ResponseMetadata": {"HTTPStatusCode": 0, "RequestId": "null"},
            }
            raise ClientError(described, "Invoke") from error


def _with_a_name(start: Callable[..., Any]) -> Callable[..., Any]:
    """AWS names an execution that its caller does not; moto calls each of them None."""

    def start_execution(self: Any, state_machine_arn: str, name: str | None = None, *more: Any, **named: Any) -> Any:
        return start(self, state_machine_arn, name or str(uuid.uuid4()), *more, **named)

    return start_execution


def _with_lambdas_error(from_error: Callable[..., Any]) -> Callable[..., Any]:
    """A function as the resource fails by the same names as by `lambda:invoke`; moto calls each of them Exception."""

    def _from_error(self: Any, env: Any, ex: Exception) -> Any:
        if not isinstance(ex, ClientError):
            return from_error(self, env, ex)
        error, cause = f"Lambda.{ex.response['Error']['Code']}", ex.response["Error"]["Message"]
        details: Any = {"lambdaFunctionFailedEventDetails": {"error": error, "cause": cause}}
        return FailureEvent(env, CustomErrorName(error), HistoryEventType.LambdaFunctionFailed, details)

    return _from_error


def _with_tolerance(map_run: Callable[..., Any]) -> Callable[..., Any]:
    """A run fails when more children failed than it tolerates: none, unless it says. With moto it always succeeds."""

    def _map_run(self: Any, env: Any, eval_input: Any) -> None:
        map_run(self, env, eval_input)
        run = eval_input.map_run_record
        counts = run.item_counter
        failed, total = counts.failed.get() + counts.timed_out.get(), counts.total.get()
        count, percentage = run.tolerated_failure_count, run.tolerated_failure_percentage
        within = (count or percentage) and not (count and failed > count)
        if failed == 0 or (within and not (percentage and failed * 100 > percentage * total)):
            return
        cause = "The specified tolerated failure threshold was exceeded"
        raise _map_failed(env, StatesErrorNameType.StatesExceedToleratedFailureThreshold, cause)

    return _map_run


def _with_readers_error(eval_resource: Callable[..., Any]) -> Callable[..., Any]:
    """Items that cannot be read fail their Map by a name of their own. moto calls it States.Runtime."""

    def _eval_resource(self: Any, env: Any) -> None:
        try:
            eval_resource(self, env)
        except ClientError as error:
            raise _map_failed(env, StatesErrorNameType.StatesItemReaderFailed, str(error)) from error

    return _eval_resource


def _map_failed(env: Any, kind: StatesErrorNameType, cause: str) -> FailureEventException:
    details: Any = {"executionFailedEventDetails": {"error": kind.to_name(), "cause": cause}}
    return FailureEventException(FailureEvent(env, StatesErrorName(typ=kind), HistoryEventType.MapRunFailed, details))


def _at_once(stop: Callable[..., Any]) -> Callable[..., Any]:
    """A stopped execution is aborted at once, while its tasks run to their ends. moto calls it RUNNING until then."""

    def _stop(self: Any, stop_date: Any, error: str | None, cause: str | None) -> None:
        while self.exec_worker.env is None:  # its thread has not read the definition yet
            time.sleep(0.01)
        stop(self, stop_date=stop_date, error=error, cause=cause)
        if self.exec_status == ExecutionStatus.RUNNING:
            self.exec_status, self.stop_date = ExecutionStatus.ABORTED, stop_date

    return _stop


def _unless_stopped(set_error: Callable[..., Any]) -> Callable[..., Any]:
    """A task that fails after its execution was stopped changes nothing. With moto the execution failed."""

    def _set_error(self: Any, error: Any) -> None:
        if not isinstance(self.program_state(), ProgramStopped):
            set_error(self, error=error)

    return _set_error
