"""Requests to our own API from outside: bounded time, bounded answers, and a signature where admins sign."""

import http.client
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import msgspec

from sluice.core.errors import Retryable
from sluice.edge import aws

SECONDS = 10.0
"""How long a request may wait for an answer."""
MOST_BYTES = 256 * 1024

Sign = Callable[[str, str, bytes, Mapping[str, str]], dict[str, str]]
"""Adds a signature to the headers of a method, an address and a body."""


class Answered(msgspec.Struct, frozen=True):
    """A status and a body."""

    status: int
    body: bytes


class ApiClient:
    """The API's address, as everyone reaches it."""

    def __init__(self, address: str, sign: Sign, seconds: float = SECONDS) -> None:
        self._address = address.rstrip("/")
        self._sign = sign
        self._seconds = seconds

    def ask(self, path: str, key: str, correlation_id: str) -> Answered:
        """Read with a key."""
        return self._send("GET", path, b"", {"x-api-key": key, "x-correlation-id": correlation_id})

    def post(self, path: str, body: bytes, key: str, correlation_id: str) -> Answered:
        """Post with a key."""
        headers = {"content-type": "application/json", "x-api-key": key, "x-correlation-id": correlation_id}
        return self._send("POST", path, body, headers)

    def post_signed(self, path: str, document: object) -> Answered:
        """Post as a principal of IAM, to the admins' routes."""
        body, headers = msgspec.json.encode(document), {"content-type": "application/json"}
        return self._send("POST", path, body, self._sign("POST", self._address + path, body, headers))

    def _send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        place = urlsplit(self._address)
        kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
        connection = kind(place.hostname or "", place.port, timeout=self._seconds)
        try:
            connection.request(method, place.path + path, body or None, dict(headers))
            with connection.getresponse() as answer:
                found = answer.read(MOST_BYTES + 1)
                if len(found) > MOST_BYTES:
                    raise Retryable(f"the API's answer has more than {MOST_BYTES} bytes")
                return Answered(answer.status, found)
        except (OSError, http.client.HTTPException) as error:
            raise Retryable(f"the API does not answer: {error!r}") from error
        finally:
            connection.close()


def sign_with_role(region: str) -> Sign:
    """Sign as the function's own role."""
    signer = aws.make_signer("execute-api", region)

    def sign(method: str, url: str, body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
        with aws.asking("the function's role"):
            return signer(method, url, body, headers)

    return sign
