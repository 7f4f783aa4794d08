"""A client of the admin API: signs each request, and repeats it where that is safe."""

import http.client
import secrets
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from cli.control.address import AdminApi
from cli.control.problems import WAIT_LONGER, Answer, Asked, explain, read_problem
from cli.functions import read_answer
from cli.stages import CommandError

TRIES = 3
# The gateway answers within 30 s.
ANSWER_SECONDS = 35
WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1, 10
PAGE_ITEMS = 1000
THROTTLED = 429
# Throttled, or perhaps not answered. The request changes nothing twice: it reads, or it has an idempotency key.
AGAIN = (THROTTLED, 503, 504, None)
# The stage may have done what was asked, and its answer did not arrive.
LOST = (TimeoutError, ConnectionError, http.client.HTTPException)


class _Page(msgspec.Struct):
    items: list[dict[str, Any]]
    next_cursor: str | None


class _Versioned(msgspec.Struct):
    version: int


class Client:
    """Asks the admin API of one stage."""

    def __init__(self, api: AdminApi) -> None:
        self._api = api

    def get(self, *path: str, **parameters: str) -> dict[str, Any]:
        """Read one thing."""
        return self._send(Asked("GET", path, parameters))

    def find_version(self, *path: str) -> int:
        """Return the version that a thing has now."""
        return read_answer(self.get(*path), _Versioned).version

    def list(self, *path: str, **parameters: str) -> Iterator[dict[str, Any]]:
        """Read a list, page by page as far as it is consumed."""
        query = {"limit": str(PAGE_ITEMS)} | parameters
        while True:
            page = read_answer(self._send(Asked("GET", path, query)), _Page)
            yield from page.items
            if page.next_cursor is None:
                return
            query = query | {"cursor": page.next_cursor}

    def change(
        self,
        method: str,
        *path: str,
        body: Mapping[str, Any] | None = None,
        version: int | None = None,
        dry_run: bool = False,
        once: str = "",
    ) -> dict[str, Any]:
        """Change something, or ask what would change.

        `once`: it has an effect that the stage cannot take for done, and is not repeated; what to do instead.
        """
        headers = {"idempotency-key": secrets.token_hex(16)}
        if version is not None:
            headers["if-match"] = f'"{version}"'
        content = None
        if body is not None:
            headers["content-type"] = "application/json"
            content = msgspec.json.encode(body)
        query = {"dry_run": "true"} if dry_run else {}
        return self._send(Asked(method, path, query, headers, content, once))

    def _send(self, asked: Asked) -> dict[str, Any]:
        again = (THROTTLED,) if asked.once else AGAIN
        for left in reversed(range(TRIES)):
            answer = self._ask(asked)
            if answer.status is not None and answer.status < 300:
                return _read(answer)
            if answer.status not in again or not left or read_problem(answer).code in WAIT_LONGER:
                break
            seconds = _wait_for(answer, TRIES - left)
            print(f"{answer.said}; trying again in {seconds} s", file=sys.stderr)
            time.sleep(seconds)
        raise explain(asked, answer)

    def _ask(self, asked: Asked) -> Answer:
        url = f"{self._api.address}{asked.place}"
        signed = AWSRequest(asked.method, url, dict(asked.headers), asked.content)
        SigV4Auth(self._api.credentials, "execute-api", self._api.region).add_auth(signed)
        request = urllib.request.Request(url, asked.content, dict(signed.headers.items()), method=asked.method)  # noqa: S310 - the stage's
        try:
            with _open(request) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except (OSError, http.client.HTTPException) as error:
            cause = error.reason if isinstance(error, urllib.error.URLError) else error
            if isinstance(cause, LOST) and not isinstance(cause, ConnectionRefusedError):
                return Answer(None, {}, b"")
            raise CommandError(
                f"the stage cannot be reached at {self._api.address}: {cause}; is it running?"
            ) from error


def _open(request: urllib.request.Request) -> http.client.HTTPResponse | urllib.error.HTTPError:
    """Return the answer, also one that is an error."""
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=ANSWER_SECONDS)  # noqa: S310 - the same
    except urllib.error.HTTPError as error:
        return error
    return answer


def _wait_for(answer: Answer, tries: int) -> int:
    """Wait as long as the stage asks, within reason."""
    asked = answer.headers.get("retry-after", "")
    return min(int(asked), LONGEST_WAIT_SECONDS) if asked.isdecimal() else WAIT_SECONDS * tries


def _read(answer: Answer) -> dict[str, Any]:
    try:
        return msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise CommandError(f"this release cannot read the stage's answer: {error}") from error
