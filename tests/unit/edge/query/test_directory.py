"""The directory's client against a real server that misbehaves."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sluice.core.detect.device_types import TypedDevice, TypesPage
from sluice.core.query.groups import Group, GroupAnswer, GroupName, GroupQuestion
from sluice.edge.query.directory import MOST_BYTES, Directory, Place, read_address, write_path
from sluice.edge.settings import DirectorySettings, SettingsError

SECONDS = 0.5
HALL = {"group_id": "hall", "name": "Hall", "devices": ["press-1"]}


class Handler(BaseHTTPRequestHandler):
    """Gives the server's configured answers, and records the requests."""

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.asked.append((self.path, self.headers["x-correlation-id"], self.headers["host"]))
        getattr(self, server.behaves)()

    def well(self) -> None:
        known = {"/fleets/demo/groups": {"groups": [HALL]}, "/fleets/demo/groups/hall": HALL}
        body = json.dumps(known.get(self.path)).encode()
        self.send(200 if self.path in known else 404, body, len(body))

    def types(self) -> None:
        body = json.dumps({"devices": [{"device_id": "press-1", "device_type": "press"}], "more": True}).encode()
        self.send(200, body, len(body))

    def send(self, status: int, body: bytes, length: int | None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("content-length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def fail(self) -> None:
        self.send(500, b"{}", 2)

    def garbage(self) -> None:
        self.send(200, b"<html>", 6)

    def cut(self) -> None:
        self.send(200, json.dumps(HALL).encode(), 1000)

    def cut_chunks(self) -> None:
        self.send(200, b'5\r\n{"gro\r\n', None, **{"transfer-encoding": "chunked"})

    def redirect(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        self.send(302, b"", 0, location=f"http://127.0.0.1:{server.server_port}/elsewhere")

    def silent(self) -> None:
        time.sleep(SECONDS * 4)

    def drip(self) -> None:
        self.send(200, b"", None)
        for _ in range(40):
            self.wfile.write(b" ")
            time.sleep(SECONDS / 8)

    def endless(self) -> None:
        self.send(200, b"", None)
        for _ in range(64):
            self.wfile.write(b" " * 65_536)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    behaves = "well"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, str]] = []

    def handle_error(self, *_: object) -> None:
        """A client that has enough goes away."""


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def server(running: Server) -> Server:
    running.behaves = "well"
    running.asked.clear()
    return running


def ask(server: Server, group_id: str | None = "hall", base: str = "") -> GroupAnswer:
    settings = DirectorySettings(f"http://127.0.0.1:{server.server_port}{base}", SECONDS)
    return Directory(settings).ask(GroupQuestion("demo", group_id, "c-1"))


def test_groups_and_a_group_are_found(server: Server) -> None:
    listed = ask(server, None).groups
    assert listed is not None
    assert listed.groups == (GroupName("hall", "Hall"),)
    assert ask(server).group == Group("hall", "Hall", ("press-1",))
    assert [(path, correlation_id) for path, correlation_id, _ in server.asked] == [
        ("/fleets/demo/groups", "c-1"),
        ("/fleets/demo/groups/hall", "c-1"),
    ]


def test_an_unknown_group_is_distinguished_from_a_directory_that_fails(server: Server) -> None:
    assert ask(server, "other").problem == "unknown"


@pytest.mark.parametrize("behaves", ["fail", "garbage", "cut", "cut_chunks", "redirect", "silent", "drip", "endless"])
def test_a_directory_that_misbehaves_is_unavailable_and_nothing_is_raised(server: Server, behaves: str) -> None:
    server.behaves = behaves
    told = ask(server)
    assert told.problem == "unavailable"
    assert told.detail
    # A redirect is not followed, and no request is sent twice.
    assert len(server.asked) == 1


def test_a_directory_that_is_away_is_unavailable() -> None:
    settings = DirectorySettings("http://127.0.0.1:9", SECONDS)
    assert Directory(settings).ask(GroupQuestion("demo", None, "c")).problem == "unavailable"


def test_without_an_address_no_request_is_made() -> None:
    assert Directory(DirectorySettings("none", SECONDS)).ask(GroupQuestion("demo", None, "c")) == GroupAnswer(
        problem="no_directory"
    )


@pytest.mark.parametrize("name", ["../../admin", "hall?x=1", "hall#x", "a/b", "%2e%2e", "a b", "ü\r\nhost: x"])
def test_a_name_is_one_part_of_the_path_with_any_text_in_it(server: Server, name: str) -> None:
    assert ask(server, name, "/v2/").problem == "unknown"
    ((path, _, host),) = server.asked
    assert path.startswith("/v2/fleets/demo/groups/")
    assert path.count("/") == 5
    assert not {"?", "#", " ", "\r"} & set(path)
    assert host == f"127.0.0.1:{server.server_port}"


def test_a_page_of_types_is_asked_for_behind_a_device(server: Server) -> None:
    directory = Directory(DirectorySettings(f"http://127.0.0.1:{server.server_port}/v2", SECONDS))
    told = directory.ask(GroupQuestion("a/b", None, "c-1", "press 1&x"))
    assert told.problem == "unknown"
    server.behaves = "types"
    told = directory.ask(GroupQuestion("demo", None, "c-1", ""))
    assert told == GroupAnswer(types=TypesPage((TypedDevice("press-1", "press"),), more=True))
    # Another page than the one asked for.
    assert directory.ask(GroupQuestion("demo", None, "c-1", "press-1")).problem == "unavailable"
    assert [path for path, *_ in server.asked] == [
        "/v2/fleets/a%2Fb/types?after=press+1%26x&limit=1000",
        "/v2/fleets/demo/types?after=&limit=1000",
        "/v2/fleets/demo/types?after=press-1&limit=1000",
    ]


def test_fleets_are_escaped_like_groups() -> None:
    place = Place("directory.example", None, "", encrypted=True)
    assert write_path(place, GroupQuestion("a/../b", None, "c")) == "/fleets/a%2F..%2Fb/groups"


@pytest.mark.parametrize(
    "url",
    ["http://directory.example", "ftp://127.0.0.1", "https://", "directory.example", "http://127.0.0.1.example", ""],
)
def test_an_address_that_could_be_read_on_the_way_stops_the_start(url: str) -> None:
    with pytest.raises(SettingsError):
        read_address(url)


def test_an_encrypted_address_may_be_anywhere() -> None:
    assert read_address("https://directory.example:8443/v2/") == Place("directory.example", 8443, "/v2", encrypted=True)
    assert MOST_BYTES < 1024**2
