"""Serves the receivers on an inherited socket: `python -m local.receivers --fd N`.

POST /slack/{hook}, /pagerduty/v2/enqueue and /https/{name} are what destinations are. The rest is for tests: GET
/received lists what was taken and GET /incidents what PagerDuty would show; PUT /fault with a kind and the beginning of
a path spoils the answers there until the fault is "none".
"""

import argparse
import asyncio
import json
import signal
import socket
from typing import Any

from aiohttp import web

from local.models.serve import serving
from local.receivers import pagerduty, slack

FAULTS = ("none", "hang", "error", "gone", "redirect", "busy", "huge", "cut")
#: Longer than anybody waits.
HANG_SECONDS = 60.0
METADATA = "http://169.254.169.254/latest/meta-data/"
HUGE_BYTES = 64 * 1024**2


class Receivers:
    """What was taken, in order, and the faults that are on."""

    def __init__(self) -> None:
        self._received: list[dict[str, Any]] = []
        self._incidents = pagerduty.Incidents()
        self._faults: dict[str, str] = {}
        self._asked: dict[str, int] = {}

    def application(self) -> web.Application:
        """The routes."""
        application = web.Application(client_max_size=1024**2)
        application.router.add_post("/slack/{hook}", self.slack)
        application.router.add_post("/pagerduty/v2/enqueue", self.pagerduty)
        application.router.add_post("/https/{name}", self.https)
        application.router.add_get("/received", self.received)
        application.router.add_get("/incidents", self.incidents)
        application.router.add_put("/fault", self.spoil)
        return application

    async def slack(self, request: web.Request) -> web.StreamResponse:
        if spoiled := await self._spoiled(request):
            return spoiled
        payload = await _read(request)
        if fault := slack.find_fault(payload):
            return web.Response(status=400, text=fault)
        self._take(request, payload)
        return web.Response(text="ok")

    async def pagerduty(self, request: web.Request) -> web.StreamResponse:
        if spoiled := await self._spoiled(request):
            return spoiled
        event = await _read(request)
        if errors := pagerduty.find_errors(event, len(await request.read())):
            answer = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
            return web.json_response(answer, status=400)
        self._take(request, event)
        self._incidents.take(event)
        answer = {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}
        return web.json_response(answer, status=202)

    async def https(self, request: web.Request) -> web.StreamResponse:
        if spoiled := await self._spoiled(request):
            return spoiled
        self._take(request, await _read(request))
        return web.Response(status=204)

    async def received(self, _request: web.Request) -> web.Response:
        return web.json_response({"received": self._received, "asked": self._asked})

    async def incidents(self, _request: web.Request) -> web.Response:
        return web.json_response([{"key": key, "state": state} for key, state in self._incidents.opened])

    async def spoil(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        if wanted.get("kind") not in FAULTS:
            return web.json_response({"known": FAULTS}, status=400)
        self._faults[str(wanted.get("path", "/"))] = wanted["kind"]
        return web.Response(status=204)

    def _take(self, request: web.Request, body: Any) -> None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self._received.append({"path": request.path, "headers": headers, "body": body})

    async def _spoiled(self, request: web.Request) -> web.StreamResponse | None:
        self._asked[request.path] = self._asked.get(request.path, 0) + 1
        match next((kind for path, kind in self._faults.items() if request.path.startswith(path)), "none"):
            case "hang":
                await asyncio.sleep(HANG_SECONDS)
            case "error":
                return web.Response(status=500, text="out of order")
            case "gone":
                return web.Response(status=404, text="no_service")
            case "redirect":
                return web.Response(status=307, headers={"location": METADATA})
            case "busy":
                return web.Response(status=429, headers={"retry-after": "3"}, text="rate_limited")
            case "huge":
                return await _pour(request)
            case "cut":
                return await _break_off(request)
        return None


async def _read(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except ValueError:
        return None


async def _pour(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_length = HUGE_BYTES
    await response.prepare(request)
    for _ in range(HUGE_BYTES // 65_536):
        await response.write(b" " * 65_536)
    return response


async def _break_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_length = 1000
    await response.prepare(request)
    await response.write(b"o")
    if request.transport is not None:
        request.transport.close()
    return response


async def serve(listener: socket.socket) -> None:
    """Serve until the process is asked to stop."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serving(Receivers().application(), listener):
        await stopped.wait()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--fd", type=int, required=True, help="an inherited, bound and listening socket")
    asyncio.run(serve(socket.socket(fileno=arguments.parse_args().fd)))
