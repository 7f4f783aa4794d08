"""One POST, against real servers that misbehave, and names that lead where no message may go."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from sluice.core.errors import Retryable
from sluice.core.notify.addresses import ForbiddenError, Place
from sluice.core.notify.outcomes import Answer
from sluice.core.notify.requests import Request
from sluice.edge.notify.posting import MOST_BODY, Poster
from tests.support.tls import Identity, identify

HOST = "hooks.example"
PUBLIC = "93.184.215.14"
SECONDS = 1.0
REQUEST = Request("", b'{"a": 1}', {"content-type": "application/json", "x-correlation-id": "c-1"})
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

Behaviour = Callable[[socket.socket], None]


class Server:
    """A server on this machine, which writes what it is told to and keeps what it was sent."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._context = context
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self.received = b""
        self.does: Behaviour = lambda connection: connection.sendall(OK)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(5)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            while b'{"a": 1}' not in self.received:
                piece = connection.recv(65_536)
                if not piece:
                    return
                self.received += piece
            self.does(connection)
        except OSError:
            pass  # a client that has enough goes away
        finally:
            connection.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return identify(HOST, tmp_path_factory.mktemp("tls"))


@pytest.fixture
def plain() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def secure(identity: Identity) -> Iterator[Server]:
    server = Server(identity.server)
    yield server
    server.close()


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Let a public address lead to this machine, and list what was connected to."""
    asked: list[tuple[str, int]] = []
    connect = socket.create_connection

    def create_connection(address: tuple[str, int], timeout: float) -> socket.socket:
        asked.append(address)
        return connect(("127.0.0.1", address[1]), timeout=timeout)

    monkeypatch.setattr("sluice.edge.notify.posting.socket.create_connection", create_connection)
    return asked


def post(server: Server, seconds: float = SECONDS) -> Answer:
    return Poster(seconds=seconds).post(Place("127.0.0.1", server.port, "/hook", encrypted=False), REQUEST)


def post_by_name(
    server: Server, trust: ssl.SSLContext, addresses: Sequence[str] = (PUBLIC,), host: str = HOST
) -> Answer:
    return Poster(lambda *_: addresses, trust, SECONDS).post(Place(host, server.port, "/hook"), REQUEST)


def test_a_request_arrives_whole_and_its_answer_is_read(plain: Server) -> None:
    plain.does = lambda connection: connection.sendall(
        b"HTTP/1.1 429 Slow Down\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nbusy"
    )

    assert post(plain) == Answer(429, "busy", "7")
    head, _, body = plain.received.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook HTTP/1.1\r\n")
    assert b"x-correlation-id: c-1" in head
    assert f"host: 127.0.0.1:{plain.port}".encode() in head
    assert body == REQUEST.body


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    secure: Server, identity: Identity, connected: list[tuple[str, int]]
) -> None:
    assert post_by_name(secure, identity.client).status == 200
    assert connected == [(PUBLIC, secure.port)]


@pytest.mark.shows_fault(
    part="SNS, webhooks",
    fault="a name that resolves to another address a moment later",
    expected="the address that was checked is the one that is connected to",
)
def test_a_name_is_resolved_once(secure: Server, identity: Identity, connected: list[tuple[str, int]]) -> None:
    # A server of names that answers with a public address first and with a metadata service then.
    answers = [[PUBLIC], ["169.254.169.254"]]
    asked: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return answers[len(asked) - 1]

    poster = Poster(resolve, identity.client, SECONDS)
    assert poster.post(Place(HOST, secure.port, "/hook"), REQUEST).status == 200
    assert (asked, connected) == ([HOST], [(PUBLIC, secure.port)])
    # The next message resolves it again, and is refused.
    with pytest.raises(ForbiddenError, match="link-local"):
        poster.post(Place(HOST, secure.port, "/hook"), REQUEST)
    assert secure.connections == 1


@pytest.mark.shows_fault(
    part="SNS, webhooks",
    fault="a name that resolves to a private or metadata address",
    expected="no connection is opened; a dead letter at once",
)
@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.1.2.3"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        [PUBLIC, "127.0.0.1"],
    ],
    ids=str,
)
def test_a_name_that_leads_inside_reaches_no_server(
    secure: Server, identity: Identity, connected: list[tuple[str, int]], addresses: list[str]
) -> None:
    with pytest.raises(ForbiddenError):
        post_by_name(secure, identity.client, addresses)
    assert (connected, secure.connections) == ([], 0)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "017700000001", "[::1]", "::1", "0"]
)
def test_no_spelling_of_this_machine_is_let_through(secure: Server, host: str) -> None:
    # With the system's resolver: it understands all of these.
    with pytest.raises((ForbiddenError, Retryable)):
        Poster(seconds=SECONDS).post(Place(host, secure.port, "/hook"), REQUEST)
    assert secure.connections == 0


def test_a_certificate_for_another_name_is_not_trusted(
    secure: Server, identity: Identity, connected: list[tuple[str, int]]
) -> None:
    with pytest.raises(Retryable, match="certificate"):
        post_by_name(secure, identity.client, host="other.example")
    assert connected
    assert secure.received == b""


def test_a_certificate_that_no_one_signed_is_not_trusted(secure: Server, connected: list[tuple[str, int]]) -> None:
    with pytest.raises(Retryable, match="certificate"):
        post_by_name(secure, ssl.create_default_context())
    assert connected
    assert secure.received == b""


def test_a_redirect_is_answered_and_not_followed(plain: Server) -> None:
    target = Server()
    plain.does = lambda connection: connection.sendall(
        f"HTTP/1.1 307 Elsewhere\r\nlocation: http://127.0.0.1:{target.port}/\r\ncontent-length: 0\r\n\r\n".encode()
    )

    assert post(plain).status == 307
    assert target.connections == 0
    target.close()


def _drip(connection: socket.socket) -> None:
    for each in b"HTTP/1.1 200 OK\r\n" + b"x-slow: " + b"a" * 200:
        connection.sendall(bytes([each]))
        time.sleep(0.05)


def _drip_body(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n")
    for _ in range(200):
        connection.sendall(b"a")
        time.sleep(0.05)


def _break_off(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")


def _continue_for_ever(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def _head_for_ever(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"x-a: " + b"b" * 1000 + b"\r\n")


@pytest.mark.parametrize(
    "does",
    [
        lambda _: time.sleep(3),
        _drip,
        _drip_body,
        _continue_for_ever,
        _head_for_ever,
        lambda connection: connection.sendall(b"a" * 200_000),
        lambda connection: connection.sendall(b"\x00\xff\r\n\r\n"),
        lambda connection: connection.close(),
        _break_off,
        lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nab"),
        lambda connection: connection.sendall(b"HTTP/1.1 999999 OK\r\n\r\n"),
    ],
    ids=["hang", "drip", "drip body", "continue", "head", "line", "garbage", "close", "chunks", "cut", "status"],
)
def test_whatever_a_server_does_ends_in_time(plain: Server, does: Behaviour) -> None:
    plain.does = does
    began = time.monotonic()

    try:
        answer: Any = post(plain)
    except Retryable as error:
        answer = error
    assert time.monotonic() - began < 2 * SECONDS
    assert isinstance(answer, Retryable) or answer.status == 200


@pytest.mark.parametrize("does", [_break_off, _drip_body], ids=["breaks off", "never ends"])
def test_an_answer_whose_text_cannot_be_read_has_its_status(plain: Server, does: Behaviour) -> None:
    plain.does = does

    assert post(plain) == Answer(200)


def test_what_a_server_sends_as_its_status_reaches_no_terminal(plain: Server) -> None:
    plain.does = lambda connection: connection.sendall(b"HTTP/1.1 2\x1b[2J\x9b31m owned\r\n\r\n")

    with pytest.raises(Retryable, match="BadStatusLine") as raised:
        post(plain)
    assert str(raised.value).isprintable()


def test_of_a_huge_answer_little_is_read(plain: Server) -> None:
    sent = 0

    def pour(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
        while True:
            sent += connection.send(b" " * 65_536)

    plain.does = pour
    assert len(post(plain).text) == MOST_BODY
    assert sent < 10_000_000


def test_a_name_that_is_not_resolved_in_time_is_a_failure(identity: Identity) -> None:
    began = time.monotonic()
    resolve: Any = lambda *_: time.sleep(3)  # noqa: E731

    with pytest.raises(Retryable, match="not resolved in time"):
        Poster(resolve, identity.client, SECONDS).post(Place(HOST, 443, "/"), REQUEST)
    assert time.monotonic() - began < 2 * SECONDS


@pytest.mark.shows_fault(part="SNS, webhooks", fault="throttle, 5xx, hang, no name")
def test_a_name_without_an_address_is_a_failure(identity: Identity) -> None:
    def resolve(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(Retryable, match="Name or service not known"):
        Poster(resolve, identity.client, SECONDS).post(Place(HOST, 443, "/"), REQUEST)


def test_a_second_address_is_tried(secure: Server, identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.create_connection
    asked: list[str] = []

    def create_connection(address: tuple[str, int], timeout: float) -> socket.socket:
        asked.append(address[0])
        if len(asked) == 1:
            raise ConnectionRefusedError("down")
        return connect(("127.0.0.1", address[1]), timeout=timeout)

    monkeypatch.setattr("sluice.edge.notify.posting.socket.create_connection", create_connection)

    assert post_by_name(secure, identity.client, [PUBLIC, "93.184.215.15"]).status == 200
    assert asked == [PUBLIC, "93.184.215.15"]
