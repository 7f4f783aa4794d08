"""A simulated client of Lambda's Invoke API: functions of ours that invoke each other."""

import io
from typing import Any

import msgspec
from botocore.exceptions import ClientError, ReadTimeoutError

from local.models.invoke_client import Answer, NotInvoked
from tests.simulation.processes import Runtime
from tests.simulation.world import World

LAMBDA = "invocation"


class Lambdas:
    """What an invoking function asks of boto3."""

    def __init__(self, world: World, runtime: Runtime) -> None:
        self._world = world
        self._runtime = runtime

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        """Invoke a function and wait for its answer."""
        try:
            answer: Answer = self._world.perform(
                LAMBDA,
                "invoke",
                lambda _: self._runtime.invoke(FunctionName, msgspec.json.decode(Payload)),
                _fail,
            )
        except NotInvoked as error:
            raise ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke") from error
        failed = {"FunctionError": "Unhandled"} if answer.failed else {}
        return {"Payload": io.BytesIO(answer.payload), **failed}


def _fail(kind: str) -> Exception:
    return ReadTimeoutError(endpoint_url=f"simulated: {kind}")
