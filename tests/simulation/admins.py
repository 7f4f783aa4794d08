"""An admin of the simulated deployment: requests to the function admin, as the gateway passes them on."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from local.models.http_event import read_answer
from local.models.invoke_client import NotInvoked
from tests.simulation.processes import Runtime
from tests.simulation.world import World

PRINCIPAL = "arn:aws:sts::123456789012:assumed-role/sluice-simulated-admin/someone"
PAUSE_SECONDS = 5.0


class Got(NamedTuple):
    """An answer; status 0: none came."""

    status: int
    body: Any


class Admin:
    """Sends requests, and repeats them while no answer comes."""

    def __init__(self, world: World, runtime: Runtime) -> None:
        self._world = world
        self._runtime = runtime
        self._numbers = 0

    def ask(self, route: str, path: Mapping[str, str] | None = None, body: object = None, query: str = "") -> Got:
        """Send one request once."""
        self._numbers += 1
        moment = self._world.timeline.seconds()
        event = {
            "routeKey": route,
            "rawQueryString": query,
            "pathParameters": dict(path or {}),
            "headers": {},
            "requestContext": {
                "timeEpoch": int(moment * 1000),
                "requestId": f"admin-{self._numbers}",
                "authorizer": {"iam": {"userArn": PRINCIPAL}},
            },
            "body": "" if body is None else json.dumps(body),
        }
        try:
            answer = self._runtime.invoke("admin", event)
        except NotInvoked:
            return Got(503, None)
        if answer.failed:
            return Got(0, None)
        response = read_answer(answer.payload)
        self._world.note(f"admin: {route}: {response.status}")
        return Got(response.status, json.loads(response.body))

    def insist(
        self, route: str, path: Mapping[str, str] | None = None, body: object = None, query: str = "", tries: int = 8
    ) -> Got:
        """Send a request until an answer comes that is no failure of a service."""
        got = self.ask(route, path, body, query)
        while (got.status == 0 or got.status >= 500) and tries > 1:
            self._world.timeline.sleep(PAUSE_SECONDS)
            tries -= 1
            got = self.ask(route, path, body, query)
        return got
