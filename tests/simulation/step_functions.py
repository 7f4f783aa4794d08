"""A simulated Step Functions: executions of the replay's machine, with its order, waits, retries and catches.

The definition is a template of the CDK; here are its states, as infra/workflows/replay.py has them.
"""

import json
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ReadTimeoutError

from local.models.invoke_client import NotInvoked
from tests.simulation.faults import KILLED_BEFORE, NO_ANSWER, SLOW
from tests.simulation.names import CONTROL
from tests.simulation.object_store import STORE, ObjectStore
from tests.simulation.processes import Runtime
from tests.simulation.world import World

if TYPE_CHECKING:
    from tests.simulation.timeline import Task

MACHINE = "workflow"
WAIT_SECONDS, TRIES, LONGEST_WAIT = 10.0, 12, 60.0
FOR_GOOD = ("PlanRefusedError", "UnverifiedError", "ChunksMissingError", "NeverSentError")


class StateError(Exception):
    """A state that failed for good."""

    def __init__(self, name: str, cause: str) -> None:
        super().__init__(f"{name}: {cause}")
        self.name = name
        self.cause = cause


class StepFunctions:
    """The client, and the executions."""

    def __init__(self, world: World, store: ObjectStore, runtime: Runtime) -> None:
        self._world = world
        self._store = store
        self._runtime = runtime
        self._executions: dict[str, Task] = {}
        self._stopped: set[str] = set()
        self.failed: dict[str, str] = {}
        """Why executions failed."""

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> dict[str, str]:  # noqa: A002, N803
        """Start an execution; one of this name is the same."""
        execution = f"{stateMachineArn}:{name}"

        def start(_: str | None) -> dict[str, str]:
            if execution not in self._executions:
                task = self._world.timeline.spawn(execution, lambda: self._run(execution, json.loads(input)))
                self._executions[execution] = task
            return {"executionArn": execution}

        return self._world.perform(MACHINE, "start", start, _fail)

    def describe_execution(self, *, executionArn: str) -> dict[str, str]:  # noqa: N803
        """Say whether an execution runs."""

        def describe(_: str | None) -> dict[str, str]:
            task = self._executions.get(executionArn)
            return {"status": "RUNNING" if task and not task.ended else "SUCCEEDED"}

        return self._world.perform(MACHINE, "describe", describe, _fail, (KILLED_BEFORE, NO_ANSWER, SLOW))

    @property
    def running(self) -> list[str]:
        """The executions that run."""
        return [name for name, task in self._executions.items() if not task.ended]

    def stop_all(self) -> None:
        """Stop what runs, as a person can."""
        self._stopped.update(self.running)

    def _run(self, execution: str, given: Any) -> None:
        try:
            state = self._invoke(execution, "replay", {"step": "claim", "input": given, "execution": execution})
            while (following := state.get("next")) in ("gather", "resend", "drain", "swap", "verify", "cancel"):
                if state.get("waits_for") is not None:
                    self._world.timeline.sleep(WAIT_SECONDS)
                state = self._follow(execution, following, state)
        except StateError as error:
            self.failed[execution] = str(error)
        except _StoppedError:
            self.failed[execution] = "stopped"

    def _follow(self, execution: str, step: str, state: dict[str, Any]) -> dict[str, Any]:
        number = state["replay_number"]
        try:
            if step == "resend":
                self._map(execution, state["manifest"])
                step = "drain"
            try:
                return self._invoke(execution, "replay", {"step": step, "replay_number": number})
            except StateError as error:
                if step != "drain" or error.name != "ChunksMissingError":
                    raise
                # A map may succeed although some of its children failed.
                return {**state, "next": "resend", "waits_for": None}
        except StateError as error:
            if step == "cancel":
                raise
            said = {"Error": error.name, "Cause": error.cause}
            self._invoke(execution, "replay", {"step": "fail", "replay_number": number, "error": said})
            raise

    def _map(self, execution: str, manifest: str) -> None:
        while STORE in self._world.away:
            self._world.timeline.sleep(1)
        chunks = msgspec.json.decode(self._store.objects[CONTROL, manifest].body)
        for chunk in chunks:
            self._invoke(execution, "resend", chunk)

    def _invoke(self, execution: str, function: str, payload: Any) -> dict[str, Any]:
        pause = 2.0
        for attempt in range(TRIES + 1):
            if execution in self._stopped:
                raise _StoppedError
            try:
                answer = self._runtime.invoke(function, payload)
            except NotInvoked:
                name, cause = "Lambda.TooManyRequestsException", "busy"
            else:
                document: dict[str, Any] = json.loads(answer.payload)
                if not answer.failed:
                    return document
                name, cause = document["errorType"], document.get("errorMessage", "")
            if name in FOR_GOOD or attempt == TRIES:
                raise StateError(name, cause)
            self._world.timeline.sleep(pause)
            pause = min(pause * 1.5, LONGEST_WAIT)
        raise AssertionError("the last attempt returns or raises")


class _StoppedError(Exception):
    pass


def _fail(kind: str) -> Exception:
    return ReadTimeoutError(endpoint_url=f"simulated: {kind}")
