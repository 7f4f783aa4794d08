"""The simplest of clients, for one request at a time."""

import json
import time
import urllib.error
import urllib.request
from typing import Any

from tests.flow.conftest import Stack


def post(stack: Stack, route: str, body: bytes, key: str | None = None, **more: str) -> tuple[int, dict[str, str], Any]:
    """Post one body and read the answer's status, headers (in lower case) and document."""
    headers = {"content-type": "application/json", "x-api-key": stack["keys"]["device"] if key is None else key}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    while True:
        status, said, document = _send(urllib.request.Request(stack["api"] + route, body, headers))
        # The gateway's own throttle is not under test, and sets the pace. Its answer has a message alone.
        if status != 429 or "message" not in document:
            return status, said, document
        time.sleep(0.1)


def _send(request: urllib.request.Request) -> tuple[int, dict[str, str], Any]:
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {name.lower(): value for name, value in error.headers.items()}, json.load(error)
