"""Clients that post to ingest through a gateway, keep a ledger of their own, and post again what is not settled."""

import base64
import json
from typing import Any

from cli.simulation.client import Ledger, compose
from cli.simulation.devices import Sent
from local.models.http_event import read_answer
from local.models.invoke_client import NotInvoked
from tests.simulation.posts import Post
from tests.simulation.processes import Runtime
from tests.simulation.world import World

PAUSE_SECONDS = 2.0
TOO_MANY = 429


class Clients:
    """Everyone who posts."""

    def __init__(self, world: World, runtime: Runtime, key: str) -> None:
        self._world = world
        self._runtime = runtime
        self.key = key
        self._numbers = 0
        self.ledger = Ledger()
        self.busy = 0
        """How many have not ended."""

    def begin(self, post: Post) -> None:
        """Post a batch when its time comes."""
        self.busy += 1
        self._world.timeline.spawn("client", lambda: self._post(post), post.at)

    def _post(self, post: Post) -> None:
        left = list(post.events)
        for _ in range(post.tries):
            left = self._post_once(left)
            if not left:
                break
            self._world.timeline.sleep(PAUSE_SECONDS * (1 + self._world.chance("clients").random()))
        self.busy -= 1

    def _post_once(self, batch: list[Sent]) -> list[Sent]:
        self._numbers += 1
        body = compose(batch)
        try:
            answer = self._runtime.invoke("ingest", self._write_request(batch[0].route, body, self.key))
        except NotInvoked:
            return self.ledger.write(batch, 503, None)
        # The connection to the client may break after everything went well.
        if answer.failed or self._world.chance("clients").random() < 0.03:
            return self.ledger.write(batch, 0, None)
        response = read_answer(answer.payload)
        return self.ledger.write(batch, response.status, json.loads(response.body))

    def find_status(self, key: str, sent: Sent) -> int:
        """Post one event with a key, beside the ledger's own; return the status."""
        while True:
            self._numbers += 1
            answer = self._runtime.invoke("ingest", self._write_request(sent.route, sent.body, key))
            response = read_answer(answer.payload)
            self.ledger.write([sent], response.status, json.loads(response.body))
            if response.status != TOO_MANY:
                return response.status
            self._world.timeline.sleep(PAUSE_SECONDS)

    def _write_request(self, route: str, body: bytes, key: str) -> dict[str, Any]:
        moment = self._world.timeline.now()
        return {
            "version": "2.0",
            "routeKey": f"POST {route}",
            "rawPath": route,
            "rawQueryString": "",
            "headers": {"content-type": "application/json", "x-api-key": key},
            "requestContext": {
                "requestId": f"request-{self._numbers}",
                "routeKey": f"POST {route}",
                "stage": "$default",
                "http": {"method": "POST", "path": route, "sourceIp": "192.0.2.10"},
                "time": moment.strftime("%d/%b/%Y:%H:%M:%S +0000"),
                "timeEpoch": int(moment.timestamp() * 1000),
            },
            "body": base64.b64encode(body).decode(),
            "isBase64Encoded": True,
        }
