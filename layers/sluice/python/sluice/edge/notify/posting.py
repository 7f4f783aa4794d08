"""One POST to a server that we do not trust: bounded in time and size, to the very address that was checked.

resolve once -> check every address -> connect to one of them -> TLS for the name -> send -> read a bounded answer
"""

import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from sluice.core.errors import Retryable
from sluice.core.notify.addresses import LOOPBACK, Place, choose_addresses
from sluice.core.notify.outcomes import Answer, shorten
from sluice.core.notify.requests import Request

CONNECT_SECONDS, TOTAL_SECONDS = 3.0, 8.0
MOST_BYTES = 64 * 1024
"""Of an answer, its headers among them."""
MOST_BODY = 1024
"""What is read of its body."""
MOST_TRIED = 2
"""A name may have many addresses."""

Resolve = Callable[[str, int], Sequence[str]]


class Poster:
    """Posts requests, one at a time."""

    def __init__(
        self, resolve: Resolve | None = None, trust: ssl.SSLContext | None = None, seconds: float = TOTAL_SECONDS
    ) -> None:
        self._resolve = resolve or resolve_name
        self._given = trust
        self._seconds = seconds

    def post(self, place: Place, request: Request) -> Answer:
        """Send a request and return the answer; Retryable if there is none, ForbiddenError if the place is none."""
        deadline = time.monotonic() + self._seconds
        try:
            connection = self._connect(place, deadline)
        except OSError as error:
            raise Retryable(f"{place.host} cannot be reached: {_describe(error)}") from error
        try:
            return _exchange(connection, place, request, deadline)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Retryable(f"{place.host} did not answer in order: {_describe(error)}") from error
        finally:
            connection.close()

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return self._given or ssl.create_default_context()

    def _connect(self, place: Place, deadline: float) -> socket.socket:
        if not place.encrypted:
            return socket.create_connection((LOOPBACK, place.port), timeout=CONNECT_SECONDS)
        found = _within(deadline, lambda: self._resolve(place.host, place.port))
        trouble: OSError = OSError("the name has no address")
        for address in choose_addresses(place.host, found)[:MOST_TRIED]:
            try:
                # Connecting to an address asks no resolver again.
                opened = socket.create_connection((address, place.port), timeout=_left(deadline, CONNECT_SECONDS))
            except OSError as error:
                trouble = error
                continue
            try:
                opened.settimeout(_left(deadline))
                return self._trust.wrap_socket(opened, server_hostname=place.host)
            except OSError as error:
                opened.close()
                trouble = error
        raise trouble


def resolve_name(host: str, port: int) -> list[str]:
    """Ask the resolver for a name's addresses."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def _within(deadline: float, ask: Callable[[], Sequence[str]]) -> Sequence[str]:
    """Ask in a thread: the system's resolver knows no timeout of ours."""
    found: list[Sequence[str] | OSError] = []

    def run() -> None:
        try:
            found.append(ask())
        except (OSError, UnicodeError) as error:
            found.append(error if isinstance(error, OSError) else OSError(str(error)))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_left(deadline, CONNECT_SECONDS))
    if not found:
        raise TimeoutError("the name was not resolved in time")
    if isinstance(found[0], OSError):
        raise found[0]
    return found[0]


def _exchange(connection: socket.socket, place: Place, request: Request, deadline: float) -> Answer:
    client = http.client.HTTPConnection(place.host, place.port)
    client.sock = _Bounded(connection, deadline)
    headers = {"host": place.authority, "connection": "close", **request.headers}
    client.putrequest("POST", place.target, skip_host=True, skip_accept_encoding=True)
    for name, value in {**headers, "content-length": str(len(request.body))}.items():
        client.putheader(name, value)
    client.endheaders(request.body)
    with client.getresponse() as answer:
        return Answer(answer.status, _read_text(answer), answer.getheader("retry-after", ""))


def _read_text(answer: http.client.HTTPResponse) -> str:
    if answer.status in (204, 304):
        return ""
    try:
        return answer.read(MOST_BODY).decode(errors="replace")
    except (OSError, http.client.HTTPException, ValueError):
        # The status alone decides: what a destination took must not be sent again for a text that broke off.
        return ""


class _Bounded:
    """A socket for http.client that ends everything at a deadline, and reads so many bytes and no more."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._connection.settimeout(_left(self._deadline))
        self._connection.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReader(self._connection, self._deadline))

    def close(self) -> None:
        """Leave the connection to who opened it."""


class _BoundedReader(io.RawIOBase):
    """Bytes as they come. A server that sends one a second triggers no socket's timeout."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        super().__init__()
        self._connection = connection
        self._deadline = deadline
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._read >= MOST_BYTES:
            raise OSError(f"the answer has more than {MOST_BYTES} bytes")
        self._connection.settimeout(_left(self._deadline))
        count = self._connection.recv_into(buffer)
        self._read += count
        return count


def _left(deadline: float, most: float = TOTAL_SECONDS) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time is over")
    return min(left, most)


def _describe(error: Exception) -> str:
    """Describe a failure. Its text may repeat what the server sent."""
    return shorten(f"{type(error).__name__} {error}")
