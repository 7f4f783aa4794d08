"""A model of AWS Lambda: the Invoke API, and the functions under AWS's own runtime client.

Modelled: synchronous invocation by name or ARN; environments started with the model, as provisioned ones are, or on
demand, kept warm and serving one invocation at a time; concurrency limits and their throttles; the timeout, which
kills; crashes, exits and failed starts with Lambda's error types; payload limits; the variables, headers and context
Lambda provides.

Not modelled: asynchronous and streamed invocation, versions and aliases (all names mean the latest), the log tail,
memory and CPU limits, frozen environments (a worker's threads go on between invocations), the ten-second limit on the
first start, who may invoke (but for functions, as their roles say), VPCs, SnapStart; a successor for a provisioned
environment that has ended (the next invocation starts one); code that cannot be written to (byte code lies beside its
source, so that a library is compiled once for all stacks). What is admitted beyond the configured number of workers
waits; Lambda would start more environments.

`GET /_model/functions` is ours: the process ids of the workers, and what runs and waits.
"""

import asyncio
import contextlib
import urllib.parse
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from local.models.config import LambdasConfig, read
from local.models.guard import guarding
from local.models.invocations import REQUEST_BYTES
from local.models.serve import main
from local.models.workers import Pool, Throttled


class InvokeApi:
    """Lambda's Invoke operation over the pools of all functions."""

    def __init__(self, pools: dict[str, Pool]) -> None:
        self._pools = pools

    async def invoke(self, request: web.Request) -> web.Response:
        name = _function_name(request.match_info["name"])
        pool = self._pools.get(name)
        if pool is None:
            return _error(404, "ResourceNotFoundException", f"Function not found: {name}")
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        if kind != "RequestResponse":
            return _error(400, "InvalidParameterValueException", f"The local model has no {kind} invocations")
        try:
            payload = await request.read()
        except web.HTTPRequestEntityTooLarge:
            message = f"Request must be smaller than {REQUEST_BYTES} bytes for the InvokeFunction operation"
            return _error(413, "RequestTooLargeException", message)
        try:
            invocation, outcome = await pool.invoke(payload or b"{}")
        except Throttled:
            return _error(
                429,
                "TooManyRequestsException",
                "Rate Exceeded.",
                Reason="ReservedFunctionConcurrentInvocationLimitExceeded",
            )
        headers = {"X-Amz-Executed-Version": "$LATEST", "x-amzn-RequestId": invocation.request_id}
        if outcome.failed:
            headers["X-Amz-Function-Error"] = "Unhandled"
        return web.Response(body=outcome.payload, content_type="application/json", headers=headers)

    async def functions(self, _request: web.Request) -> web.Response:
        return web.json_response({name: pool.status() for name, pool in self._pools.items()})


def _function_name(reference: str) -> str:
    """The name in a name, a partial ARN or an ARN, with or without a qualifier."""
    decoded = urllib.parse.unquote(reference)
    return decoded.rpartition("function:")[2].split(":")[0]


def _error(status: int, kind: str, message: str, **more: str) -> web.Response:
    body = {"Type": "User", "message": message, "Message": message, **more}
    headers = {"x-amzn-ErrorType": kind, "x-amzn-RequestId": str(uuid.uuid4())}
    return web.json_response(body, status=status, headers=headers)


@contextlib.asynccontextmanager
async def model(config_file: Path) -> AsyncIterator[web.Application]:
    """The Invoke API of all functions in the config; their workers end with it."""
    config = read(LambdasConfig, config_file)
    pools = {function.name: Pool(function, config) for function in config.functions}
    api = InvokeApi(pools)
    application = web.Application(client_max_size=REQUEST_BYTES, middlewares=[guarding(config_file, "lambdas")])
    application.router.add_post("/2015-03-31/functions/{name}/invocations", api.invoke)
    application.router.add_get("/_model/functions", api.functions)
    try:
        await asyncio.gather(*(pool.start() for pool in pools.values()))
        yield application
    finally:
        for pool in pools.values():
            await pool.stop()


if __name__ == "__main__":
    main(model)
