"""The example client keeps what the contracts ask of a client, against a server that answers by a script."""

import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from docs.client import client

SCRIPT = Path(__file__).parents[2] / "docs/client/client.sh"
KEY = "slc_test_key"

Answer = tuple[int, dict[str, str], Any]
Step = Callable[[list[Any]], Answer | None]  # the answer to one request; None cuts the connection


def answer_by(*statuses: str, code: int, **headers: str) -> Step:
    """Answer with these results, one per event in turn."""

    def answer(events: list[Any]) -> Answer:
        assert len(events) == len(statuses)
        results = [
            {"index": index, "event_id": None, "status": status}
            | ({} if status == "accepted" else {"error": {"code": f"why_{status}", "message": "…"}})
            for index, status in enumerate(statuses)
        ]
        return code, headers, {"results": results}

    return answer


def accept(events: list[Any]) -> Answer | None:
    return answer_by(*["accepted"] * len(events), code=202)(events)


def refuse(status: int, code: str = "a_code", **headers: str) -> Step:
    return lambda _: (status, headers, {"code": code, "detail": "…", "status": status})


def cut(_events: list[Any]) -> None:
    """Take the request and send no answer."""


@dataclass
class Server:
    """Answers one step of its script after the other and records the requests."""

    script: list[Step] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    port: int = 0

    def sent(self) -> list[list[Any]]:
        """The events of each request, by their number."""
        return [[event["n"] for event in json.loads(body)] for body in self.bodies]


@pytest.fixture
def server() -> Iterator[Server]:
    known = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            body = gzip.decompress(raw) if self.headers.get("content-encoding") == "gzip" else raw
            known.raw.append(raw)
            known.bodies.append(body)
            known.heads.append({name.lower(): value for name, value in self.headers.items()})
            known.paths.append(self.path)
            try:
                events = json.loads(body)
            except ValueError:
                events = []
            answer = known.script.pop(0)(events) if known.script else (500, {}, {"code": "script_is_over"})
            if answer is None:
                self.close_connection = True
                return
            status, headers, document = answer
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(content))}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Log nothing: the test reads the requests."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        known.port = http.server_address[1]
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield known
        http.shutdown()
        thread.join()


@dataclass
class Ran:
    """How a client ended, how long it would have waited, and what it left."""

    code: int
    waits: list[float]
    left: list[dict[str, Any]]


@pytest.fixture
def run(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    monkeypatch.setenv("API", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("KEY", KEY)

    def run(lines: bytes, *options: str, script: Iterable[Step]) -> Ran:
        (tmp_path / "events.jsonl").write_bytes(lines)
        server.script = list(script)
        waits: list[float] = []
        arguments = [str(tmp_path / "events.jsonl"), "--left", str(tmp_path / "left.jsonl"), *options]
        code = client.main(arguments, waits.append)
        assert server.script == [], "the client stopped early"
        left = [json.loads(line) for line in (tmp_path / "left.jsonl").read_text().splitlines()]
        return Ran(code, waits, left)

    return run


def lines(count: int) -> bytes:
    return b"".join(b'{"n": %d}\n' % number for number in range(count))


def test_lines_are_sent_in_batches_and_all_accepted_is_zero(run: Callable[..., Ran], server: Server) -> None:
    ran = run(lines(250), "--route", "/v1/readings", script=[accept] * 3)
    assert (ran.code, ran.waits, ran.left) == (0, [], [])
    assert server.sent() == [list(range(100)), list(range(100, 200)), list(range(200, 250))]
    assert set(server.paths) == {"/v1/readings"}
    assert {head["x-api-key"] for head in server.heads} == {KEY}
    assert {head["content-type"] for head in server.heads} == {"application/json"}


def test_events_are_sent_byte_for_byte(run: Callable[..., Ran], server: Server) -> None:
    run('{"n":  1.50,\t"ü":"\\u00fc"}  \r\n\n  {"n":2}'.encode(), script=[accept])
    assert server.bodies == ['[{"n":  1.50,\t"ü":"\\u00fc"},{"n":2}]'.encode()]


def test_only_events_to_retry_are_sent_again(run: Callable[..., Ran], server: Server) -> None:
    mixed = answer_by("accepted", "retry", "rejected", "retry", code=207)
    ran = run(lines(4), script=[mixed, answer_by("retry", "accepted", code=207), accept])
    assert server.sent() == [[0, 1, 2, 3], [1, 3], [1]]
    assert (ran.code, len(ran.waits)) == (3, 2)
    assert ran.left == [{"status": "rejected", "error": {"code": "why_rejected", "message": "…"}, "event": '{"n": 2}'}]


def test_results_are_read_at_any_status_of_the_whole(run: Callable[..., Ran], server: Server) -> None:
    later = answer_by("rejected", "retry", code=429, retry_after="3")
    ran = run(lines(2), script=[later, answer_by("rejected", code=400)])
    assert server.sent() == [[0, 1], [1]]
    assert (ran.code, [one["event"] for one in ran.left]) == (3, ['{"n": 0}', '{"n": 1}'])


@pytest.mark.parametrize(
    "open_answer",
    [cut, refuse(429), refuse(500), refuse(503), refuse(408), lambda _: (502, {}, b"<html>"), refuse(200)],
    ids=["cut", "429", "500", "503", "408", "no JSON", "no results"],
)
def test_what_leaves_open_whether_it_is_stored_is_sent_again_byte_for_byte(
    run: Callable[..., Ran], server: Server, open_answer: Step
) -> None:
    ran = run(lines(3), script=[open_answer, open_answer, accept])
    assert (ran.code, ran.left, len(ran.waits)) == (0, [], 2)
    assert len(server.bodies) == 3
    assert len(set(server.bodies)) == 1


def test_an_answer_that_does_not_come_in_time_is_given_up_and_the_next_request_goes_through(
    run: Callable[..., Ran], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "TIMEOUT_SECONDS", 0.2)
    asked_again = threading.Event()

    def hang(_events: list[Any]) -> None:
        assert asked_again.wait(10)

    def accept_at_last(events: list[Any]) -> Answer | None:
        asked_again.set()
        return accept(events)

    ran = run(lines(2), script=[hang, accept_at_last])
    assert (ran.code, len(ran.waits)) == (0, 1)
    assert len(set(server.bodies)) == 1


def test_fewer_results_than_events_settle_nothing(run: Callable[..., Ran], server: Server) -> None:
    short: Step = lambda _: (202, {}, {"results": [{"status": "accepted"}]})  # noqa: E731 - a step, not a rule
    assert run(lines(2), script=[short, accept]).code == 0
    assert server.sent() == [[0, 1], [0, 1]]


def test_it_waits_at_least_as_long_as_it_is_asked_to(run: Callable[..., Ran]) -> None:
    ran = run(lines(1), script=[refuse(429, retry_after="7"), accept])
    assert 7 < ran.waits[0] <= 8


@pytest.mark.parametrize("asked", ["-5", "soon", "Fri, 20 Nov 2026 09:30:00 GMT", "1.5", ""])
def test_a_retry_after_it_cannot_read_is_passed_over(run: Callable[..., Ran], asked: str) -> None:
    ran = run(lines(1), script=[refuse(429, retry_after=asked), accept])
    assert 0 < ran.waits[0] <= 1


def test_a_retry_after_beyond_reason_does_not_stop_it_for_good(run: Callable[..., Ran]) -> None:
    ran = run(lines(1), script=[refuse(429, retry_after="9" * 30), accept])
    assert ran.waits[0] <= client.LONGEST_ASKED_SECONDS + 1


def press(sample: float, retry_after: int) -> Step:
    """Refuse for pressure, with advice."""
    body = {"code": "pressure", "detail": "…", "advice": {"sample": sample, "retry_after": retry_after}}
    return lambda _: (429, {"retry-after": str(retry_after)}, body)


def test_under_pressure_it_waits_and_sends_every_event_again(run: Callable[..., Ran], server: Server) -> None:
    ran = run(lines(8), "--batch", "4", script=[press(0.25, 30), accept, accept])
    assert server.sent() == [[0, 1, 2, 3], [0, 1, 2, 3], [4, 5, 6, 7]]
    assert 30 < ran.waits[0] <= 31
    assert (ran.code, ran.left) == (0, [])


def test_on_request_it_thins_out_later_events_as_advised_and_names_each(
    run: Callable[..., Ran], server: Server
) -> None:
    ran = run(lines(20), "--batch", "4", "--thin", script=[press(0.125, 5), press(0.125, 5), *[accept] * 5])
    # Refused events are sent again whole; then a quarter, a half, and everything.
    assert server.sent() == [[0, 1, 2, 3]] * 3 + [[7], [9, 11], [12, 13, 14, 15], [16, 17, 18, 19]]
    assert [(one["event"], one["status"]) for one in ran.left] == [
        (f'{{"n": {number}}}', "left_out") for number in (4, 5, 6, 8, 10)
    ]
    assert ran.code == 3


def test_attempts_are_bounded_wait_longer_each_time_and_end_in_the_open(
    run: Callable[..., Ran], server: Server
) -> None:
    ran = run(lines(101), script=[refuse(503, "away")] * client.ATTEMPTS + [accept])
    assert len(server.bodies) == client.ATTEMPTS + 1
    for number, wait in enumerate(ran.waits):
        longest = min(2**number, client.LONGEST_WAIT_SECONDS)
        assert longest / 2 <= wait <= longest
    assert ran.code == 1
    assert [json.loads(one["event"])["n"] for one in ran.left] == list(range(100))
    assert {(one["status"], one["error"]["code"]) for one in ran.left} == {("unsettled", "away")}


def test_what_stays_open_is_left_with_the_reason_of_its_own_result(run: Callable[..., Ran]) -> None:
    first, later = answer_by("accepted", "retry", code=207), answer_by("retry", code=429)
    ran = run(lines(2), script=[first] + [later] * (client.ATTEMPTS - 1))
    assert (ran.code, [(one["event"], one["error"]["code"]) for one in ran.left]) == (1, [('{"n": 1}', "why_retry")])


@pytest.mark.parametrize("status", [401, 403, 404, 415, 301])
def test_a_key_or_address_that_is_wrong_ends_the_sending_and_nothing_is_lost(
    run: Callable[..., Ran], server: Server, status: int
) -> None:
    ran = run(lines(150), script=[refuse(status, "not_you")])
    assert len(server.bodies) == 1
    assert (ran.code, len(ran.left), ran.waits) == (1, 150, [])
    assert {(one["status"], one["error"]["code"]) for one in ran.left} == {("unsettled", "not_you")}


def test_one_event_that_spoils_the_request_is_found_and_harms_no_neighbour(
    run: Callable[..., Ran], server: Server
) -> None:
    refused = refuse(400, "malformed_json")
    ran = run(lines(4), script=[refused, accept, refused, refused, accept])
    assert server.sent() == [[0, 1, 2, 3], [0, 1], [2, 3], [2], [3]]
    assert (ran.code, ran.waits) == (3, [])
    assert [(one["event"], one["error"]["code"]) for one in ran.left] == [('{"n": 2}', "malformed_json")]


@pytest.mark.parametrize("bad", [b'{"a":1},{"b":2}', b'{"a":[1', b"\xff\xfe", b"[" * 100_000], ids=repr)
def test_a_line_that_is_no_json_value_is_left_and_not_sent(run: Callable[..., Ran], server: Server, bad: bytes) -> None:
    ran = run(b'{"n": 0}\n' + bad + b'\n{"n": 1}\n', script=[accept])
    assert server.sent() == [[0, 1]]
    assert (ran.code, len(ran.left)) == (3, 1)
    assert ran.left[0]["event"].encode(errors="surrogateescape") == bad


def test_a_line_too_long_for_any_request_is_left_in_parts_and_its_neighbours_go(
    run: Callable[..., Ran], server: Server
) -> None:
    long = b'{"n": "' + b"x" * 2_500_000 + b'"}'
    ran = run(lines(1) + long + b'\n{"n": 1}\n', script=[accept])
    assert server.sent() == [[0, 1]]
    assert "".join(one["event"] for one in ran.left).encode() == long
    assert {one["error"]["code"] for one in ran.left} == {"event_too_large"}


def test_a_request_stays_below_the_limit_of_bytes(run: Callable[..., Ran], server: Server) -> None:
    ran = run(b"".join(b'{"n": %d, "x": "%s"}\n' % (n, b"x" * 30_000) for n in range(80)), script=[accept] * 3)
    assert ran.code == 0
    assert max(map(len, server.bodies)) <= client.BATCH_BYTES
    assert [number for batch in server.sent() for number in batch] == list(range(80))


def test_gzip_compresses_the_same_bytes_the_same_way(run: Callable[..., Ran], server: Server) -> None:
    ran = run(lines(50), "--gzip", script=[cut, accept])
    assert ran.code == 0
    assert {head["content-encoding"] for head in server.heads} == {"gzip"}
    assert len(set(server.raw)) == 1
    assert server.raw[0][4:8] == bytes(4), "the moment of compression is part of the bytes"
    assert server.sent() == [list(range(50))] * 2


def test_a_pipe_is_read_and_what_is_not_accepted_goes_to_stderr(server: Server) -> None:
    server.script = [answer_by("accepted", "rejected", code=207)]
    ran = subprocess.run(
        [sys.executable, str(SCRIPT.with_name("client.py"))],
        input=lines(2),
        env={"API": f"http://127.0.0.1:{server.port}", "KEY": KEY, "PATH": os.environ["PATH"]},
        capture_output=True,
        check=False,
    )
    left, summary = ran.stderr.decode().splitlines()
    assert (ran.returncode, json.loads(left)["event"]) == (3, '{"n": 1}')
    assert summary == "1 accepted, 1 rejected, 0 unsettled"


@pytest.fixture
def curl(server: Server, tmp_path: Path) -> Callable[..., tuple[int, list[int], str]]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    # In place of sleep: it writes down how long, and does not.
    (tmp_path / "sleep").write_text(f'#!/bin/sh\necho "$1" >>"{tmp_path}/waits"\n')
    (tmp_path / "sleep").chmod(0o755)
    (tmp_path / "waits").touch()

    def run(events: bytes, script: Iterable[Step]) -> tuple[int, list[int], str]:
        (tmp_path / "events.json").write_bytes(events)
        server.script = list(script)
        ran = subprocess.run(
            ["sh", str(SCRIPT), "/v1/events", str(tmp_path / "events.json")],
            env={
                "API": f"http://127.0.0.1:{server.port}",
                "KEY": KEY,
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
            },
            capture_output=True,
            check=False,
        )
        assert server.script == [], "the client stopped early"
        return ran.returncode, [int(wait) for wait in (tmp_path / "waits").read_text().split()], ran.stderr.decode()

    return run


FILE = b'[{"n": 0},\n {"n":1}]\n'


def test_the_shell_client_sends_the_file_as_it_is_until_all_is_accepted(
    curl: Callable[..., tuple[int, list[int], str]], server: Server
) -> None:
    some = answer_by("accepted", "retry", code=207)
    code, waits, _ = curl(FILE, [refuse(429, retry_after="7"), cut, refuse(503), some, accept])
    assert code == 0
    assert set(server.bodies) == {FILE}
    assert len(server.bodies) == 5
    assert {head["x-api-key"] for head in server.heads} == {KEY}
    assert 8 <= waits[0] <= 9
    assert len(waits) == 4


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (answer_by("accepted", "rejected", code=207), 3),
        (answer_by("rejected", "rejected", code=400), 3),
        (refuse(413), 3),
        (refuse(401), 1),
        (refuse(301), 1),
        (refuse(200), 1),
    ],
)
def test_the_shell_client_says_what_was_not_accepted(
    curl: Callable[..., tuple[int, list[int], str]], step: Step, expected: int
) -> None:
    code, waits, shown = curl(FILE, [step])
    assert (code, waits) == (expected, [])
    assert json.loads(shown)


def test_the_shell_client_gives_up_after_a_while(
    curl: Callable[..., tuple[int, list[int], str]], server: Server
) -> None:
    code, waits, shown = curl(FILE, [refuse(503, "away")] * 10)
    assert (code, len(waits), len(server.bodies)) == (1, 9, 10)
    assert max(waits) <= 60
    assert "away" in shown


def test_the_shell_client_shows_the_key_to_no_one(
    curl: Callable[..., tuple[int, list[int], str]], tmp_path: Path
) -> None:
    stub = tmp_path / "curl"
    stub.write_text(f'#!/bin/sh\necho "$@" >"{tmp_path}/arguments"\ncat >/dev/null\nprintf 202\n')
    stub.chmod(0o755)
    assert curl(FILE, [])[0] == 0
    assert "--config -" in (tmp_path / "arguments").read_text()
    assert KEY not in (tmp_path / "arguments").read_text()
