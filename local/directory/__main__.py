"""Serves the directory on an inherited socket: `python -m local.directory --fd N`.

GET /fleets/{fleet}/groups, GET /fleets/{fleet}/groups/{group} and GET /fleets/{fleet}/types are what a directory has to
answer. The rest is for tests: PUT a group or a fleet's types, and PUT /fault with a kind to have every answer spoiled
in that way until the fault is "none".
"""

import argparse
import asyncio
import signal
import socket

from aiohttp import web

from local.directory.groups import Groups, Types, demo_groups, demo_types
from local.models.serve import serving

FAULTS = ("none", "slow", "error", "garbage", "cut", "redirect", "endless")
#: Longer than anybody waits.
SLOW_SECONDS = 60.0


class Directory:
    """Groups and types in memory, and the fault that is on."""

    def __init__(self, fleets: dict[str, Groups], types: dict[str, Types]) -> None:
        self._fleets = fleets
        self._types = types
        self._fault = "none"
        self._asked = 0

    def application(self) -> web.Application:
        """The routes."""
        application = web.Application(client_max_size=16 * 1024**2)
        application.router.add_get("/fleets/{fleet}/groups", self.list)
        application.router.add_get("/fleets/{fleet}/groups/{group}", self.show)
        application.router.add_put("/fleets/{fleet}/groups/{group}", self.put)
        application.router.add_get("/fleets/{fleet}/types", self.list_types)
        application.router.add_put("/fleets/{fleet}/types", self.put_types)
        application.router.add_put("/fault", self.spoil)
        application.router.add_get("/fault", self.tell)
        return application

    async def list(self, request: web.Request) -> web.StreamResponse:
        groups = self._fleets.get(request.match_info["fleet"], {})
        names = [{name: group[name] for name in ("group_id", "name")} for group in groups.values()]
        return await self._answer(request, {"groups": names})

    async def show(self, request: web.Request) -> web.StreamResponse:
        found = self._fleets.get(request.match_info["fleet"], {}).get(request.match_info["group"])
        return await self._answer(request, found)

    async def put(self, request: web.Request) -> web.Response:
        group = await request.json()
        self._fleets.setdefault(request.match_info["fleet"], {})[request.match_info["group"]] = group
        return web.Response(status=204)

    async def list_types(self, request: web.Request) -> web.StreamResponse:
        types = self._types.get(request.match_info["fleet"])
        if types is None:
            return await self._answer(request, None)
        following = sorted(device_id for device_id in types if device_id > request.query.get("after", ""))
        limit = int(request.query["limit"])
        devices = [{"device_id": name, "device_type": types[name]} for name in following[:limit]]
        return await self._answer(request, {"devices": devices, "more": len(following) > limit})

    async def put_types(self, request: web.Request) -> web.Response:
        self._types[request.match_info["fleet"]] = await request.json()
        return web.Response(status=204)

    async def spoil(self, request: web.Request) -> web.Response:
        kind = (await request.json())["kind"]
        if kind not in FAULTS:
            return web.json_response({"known": FAULTS}, status=400)
        self._fault = kind
        return web.Response(status=204)

    async def tell(self, _request: web.Request) -> web.Response:
        return web.json_response({"kind": self._fault, "asked": self._asked})

    async def _answer(self, request: web.Request, document: object) -> web.StreamResponse:
        self._asked += 1
        match self._fault:
            case "slow":
                await asyncio.sleep(SLOW_SECONDS)
            case "error":
                return web.json_response({"error": "out of order"}, status=500)
            case "garbage":
                return web.Response(text='{"groups": "many", "devices": [1, 2', content_type="application/json")
            case "redirect":
                return web.Response(status=302, headers={"location": "http://169.254.169.254/latest/meta-data/"})
            case "cut":
                return await self._begin(request, b'{"group', length=1000)
            case "endless":
                return await self._begin(request, b" " * 4 * 1024**2, length=None)
        return web.Response(status=404) if document is None else web.json_response(document)

    @staticmethod
    async def _begin(request: web.Request, body: bytes, length: int | None) -> web.StreamResponse:
        """Begin an answer and break it off."""
        response = web.StreamResponse()
        response.content_length = length
        await response.prepare(request)
        await response.write(body)
        if request.transport is not None:
            request.transport.close()
        return response


async def serve(listener: socket.socket) -> None:
    """Serve until the process is asked to stop."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serving(Directory(demo_groups(), demo_types()).application(), listener):
        await stopped.wait()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--fd", type=int, required=True, help="an inherited, bound and listening socket")
    asyncio.run(serve(socket.socket(fileno=arguments.parse_args().fd)))
