"""Lambda's runtime API for one worker: the worker's end of an invocation.

A socket for each worker, not one for all, so that an answer is known to be from the worker that was asked and a dead
worker's invocation is known to be lost.
"""

import time
from typing import Protocol

from aiohttp import web

from local.models.config import FunctionConfig
from local.models.invocations import ANSWER_BYTES, Invocation, Outcome, answer_too_large

_ACCEPTED = b'{"status":"OK"}'


class Worker(Protocol):
    """What is asked of the worker whose end this is."""

    function: FunctionConfig
    current: Invocation | None

    async def next(self) -> Invocation:
        """Wait for what is to be done next."""

    def finish(self, outcome: Outcome) -> None:
        """Take what became of it."""

    def fail_to_start(self, outcome: Outcome) -> None:
        """Take why there will be nothing."""


def runtime_api(worker: Worker) -> web.Application:
    """The application a worker's runtime client speaks to."""
    endpoint = _RuntimeApi(worker)
    application = web.Application(client_max_size=ANSWER_BYTES)
    prefix = "/2018-06-01/runtime"
    application.router.add_get(f"{prefix}/invocation/next", endpoint.next)
    application.router.add_post(f"{prefix}/invocation/{{id}}/response", endpoint.response)
    application.router.add_post(f"{prefix}/invocation/{{id}}/error", endpoint.error)
    application.router.add_post(f"{prefix}/init/error", endpoint.init_error)
    return application


class _RuntimeApi:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def next(self, _request: web.Request) -> web.Response:
        invocation = await self._worker.next()
        function = self._worker.function
        return web.Response(
            body=invocation.payload,
            content_type="application/json",
            headers={
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(int((time.time() + function.timeout_seconds) * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": function.arn,
                "Lambda-Runtime-Trace-Id": invocation.trace,
            },
        )

    async def response(self, request: web.Request) -> web.Response:
        invocation = self._asked(request)
        if invocation is None:
            return _refused(400, "InvalidRequestID", "Invalid request ID")
        try:
            payload = await request.read()
        except web.HTTPRequestEntityTooLarge:
            self._worker.finish(answer_too_large())
            return _refused(413, "RequestEntityTooLarge", "Exceeded maximum allowed payload size")
        self._worker.finish(Outcome(payload))
        return web.Response(status=202, body=_ACCEPTED, content_type="application/json")

    async def error(self, request: web.Request) -> web.Response:
        invocation = self._asked(request)
        if invocation is None:
            return _refused(400, "InvalidRequestID", "Invalid request ID")
        self._worker.finish(Outcome(await request.read(), failed=True))
        return web.Response(status=202, body=_ACCEPTED, content_type="application/json")

    async def init_error(self, request: web.Request) -> web.Response:
        self._worker.fail_to_start(Outcome(await request.read(), failed=True))
        return web.Response(status=202, body=_ACCEPTED, content_type="application/json")

    def _asked(self, request: web.Request) -> Invocation | None:
        current = self._worker.current
        return current if current is not None and current.request_id == request.match_info["id"] else None


def _refused(status: int, kind: str, message: str) -> web.Response:
    return web.json_response({"errorType": kind, "errorMessage": message}, status=status)
