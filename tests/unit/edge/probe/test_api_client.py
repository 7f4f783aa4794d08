"""Requests of probe over HTTP: what is sent, and that a server that hangs or floods costs bounded work."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sluice.core.errors import Retryable
from sluice.edge.probe.api_client import MOST_BYTES, Answered, ApiClient, sign_with_role


class Server(http.server.ThreadingHTTPServer):
    """Answers what a test wants, and keeps what it was asked."""

    answer: tuple[int, bytes] = 200, b"{}"
    hangs = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.over = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.command, self.path, headers, body))
        if self.server.hangs:
            self.server.over.wait(10)
        status, answer = self.server.answer
        self.send_response(status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET  # noqa: N815 - as the base class names it

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.over.set()
        made.shutdown()


def client(server: Server, seconds: float = 5) -> ApiClient:
    def sign(method: str, url: str, body: bytes, headers: Any) -> dict[str, str]:
        return {**headers, "authorization": f"{method} {url.rpartition('/')[2]} {len(body)}"}

    return ApiClient(f"http://127.0.0.1:{server.server_port}", sign, seconds)


def test_events_and_questions_carry_a_key_and_a_correlation_id(server: Server) -> None:
    server.answer = 202, b"stored"
    assert client(server).post("/v1/events", b"{}", "a-key", "probe-1") == Answered(202, b"stored")
    assert client(server).ask("/v1/fleets?x=1", "another", "probe-1").status == 202
    (posted, asked) = server.asked
    assert (posted[0], posted[1], posted[3]) == ("POST", "/v1/events", b"{}")
    assert (posted[2]["x-api-key"], posted[2]["x-correlation-id"]) == ("a-key", "probe-1")
    assert (asked[0], asked[1], asked[2]["x-api-key"]) == ("GET", "/v1/fleets?x=1", "another")


def test_what_admins_ask_is_signed_as_it_is_sent(server: Server) -> None:
    client(server).post_signed("/v1/admin/fleets", {"a": 1})
    ((_, _, headers, body),) = server.asked
    assert (headers["authorization"], body) == ("POST fleets 7", b'{"a":1}')


def test_a_server_that_hangs_floods_or_is_away_is_an_error_that_passes(server: Server) -> None:
    server.answer = 200, b"x" * (MOST_BYTES + 1)
    with pytest.raises(Retryable, match="more than"):
        client(server).ask("/", "k", "c")
    server.hangs = True
    with pytest.raises(Retryable, match="does not answer"):
        client(server, 0.2).ask("/", "k", "c")
    with pytest.raises(Retryable, match="does not answer"):
        ApiClient("http://127.0.0.1:1", lambda *_: {}, 1).ask("/", "k", "c")


def test_a_signature_names_the_role_the_region_and_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-role")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-the-session")
    signed = sign_with_role("eu-central-1")("POST", "https://api.example/v1", b"{}", {"content-type": "text/plain"})
    assert "Credential=the-role/" in signed["Authorization"]
    assert "/eu-central-1/execute-api/aws4_request" in signed["Authorization"]
    assert (signed["content-type"], signed["X-Amz-Security-Token"]) == ("text/plain", "of-the-session")
