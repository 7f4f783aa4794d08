"""Invokes a function by Lambda's Invoke API, over one connection that is kept."""

import http.client
import urllib.parse
from dataclasses import dataclass


class NotInvoked(Exception):
    """The function did not run: throttled, unreachable, or not there yet."""


@dataclass(frozen=True)
class Answer:
    """What an invocation came to."""

    payload: bytes
    failed: bool
    request_id: str


class InvokeClient:
    """Speaks to the Invoke API for one thread."""

    def __init__(self, endpoint: str, function_arn: str, timeout_seconds: float) -> None:
        self._address = urllib.parse.urlsplit(endpoint).netloc
        self._path = f"/2015-03-31/functions/{urllib.parse.quote(function_arn, safe='')}/invocations"
        self._timeout_seconds = timeout_seconds
        self._connection: http.client.HTTPConnection | None = None

    def invoke(self, payload: bytes) -> Answer:
        """Runs the function to its end."""
        try:
            response, body = self._post(payload)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NotInvoked(f"{self._address}: {error!r}") from error
        if response.status != 200:
            raise NotInvoked(f"{response.status} {body.decode(errors='replace')}")
        return Answer(
            payload=body,
            failed=response.getheader("X-Amz-Function-Error") is not None,
            request_id=response.getheader("x-amzn-RequestId", ""),
        )

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, payload: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._address, timeout=self._timeout_seconds)
        self._connection.request("POST", self._path, body=payload)
        response = self._connection.getresponse()
        return response, response.read()
