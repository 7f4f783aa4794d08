"""Whole stacks, started as a person starts them: side by side, killed in part and as a whole, and stopped."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.overrides import WORKERS_PER_FUNCTION
from local.processes import ROOT
from tests.local.watching import eventually, gone

REPLACEABLE = ("kafka-1", "postgres", "redis", "lambdas", "http_api", "event_source", "firehose", "athena", "directory")


@dataclass(frozen=True)
class Running:
    """A stack in a directory of its own, which ends with this test run."""

    directory: Path

    def command(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "local", name, "--dir", str(self.directory), *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    def up(self) -> str:
        started = self.command("up", "--owner", str(os.getpid()))
        assert started.returncode == 0, started.stdout + started.stderr
        return started.stdout

    @property
    def description(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.directory / "stack.json").read_text())
        return found

    def post(self) -> int:
        """Post a sample event with the stack's own key."""
        headers = {"content-type": "application/json", "x-api-key": self.description["keys"]["device"]}
        body = (ROOT / "events" / "telemetry-v1.json").read_bytes()
        request = urllib.request.Request(f"{self.description['api']}/v1/events", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Running]]:
    pair = Running(tmp_path_factory.mktemp("one")), Running(tmp_path_factory.mktemp("two"))
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(Running.up, pair))
        yield pair
    finally:
        for stack in pair:
            stack.command("down")


def test_two_stacks_run_side_by_side_and_share_nothing(stacks: tuple[Running, Running]) -> None:
    one, two = (stack.description for stack in stacks)
    for name in ("api", "broker", "database", "cache", "aws", "keys"):
        assert one[name] != two[name]
    assert not set(one["pids"].values()) & set(two["pids"].values())
    assert [stack.post() for stack in stacks] == [202, 202]


def test_the_first_requests_to_a_healthy_stack_start_no_worker(stacks: tuple[Running, Running]) -> None:
    stack = stacks[0]
    before = _functions(stack)
    with ThreadPoolExecutor() as pool:
        assert set(pool.map(lambda _: stack.post(), range(WORKERS_PER_FUNCTION))) == {202}
    (ingest,) = (name for name in before if name.endswith("-ingest"))
    assert len(before[ingest]["workers"]) == WORKERS_PER_FUNCTION
    assert set(_functions(stack)[ingest]["workers"]) == set(before[ingest]["workers"])


def test_starting_a_running_stack_again_changes_nothing(stacks: tuple[Running, Running]) -> None:
    before = stacks[0].description
    assert "running already" in stacks[0].up()
    assert stacks[0].description == before


def test_any_killed_process_comes_back_where_it_was(stacks: tuple[Running, Running]) -> None:
    stack = stacks[0]
    before = stack.description
    for name in REPLACEABLE:
        os.kill(before["pids"][name], signal.SIGKILL)
    eventually(
        lambda: all(stack.description["pids"][name] != before["pids"][name] for name in REPLACEABLE),
        "every killed process has a successor",
    )
    eventually(lambda: stack.post() == 202, "the stack accepts events again")
    after = stack.description
    assert {**after, "pids": None} == {**before, "pids": None}


def test_ctrl_c_in_the_middle_of_a_start_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local", "run", "--dir", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as started:
        eventually(lambda: len(_children(started.pid)) > 1, "the start is under way")
        children = _children(started.pid)
        started.send_signal(signal.SIGINT)
        said, _ = started.communicate(timeout=90)
    assert (started.returncode, said) == (0, "the stack is stopped\n")
    assert all(gone(pid) for pid in children)
    assert not (tmp_path / "state").exists()


def test_an_unknown_profile_is_refused_before_anything_starts_with_those_that_exist(tmp_path: Path) -> None:
    refused = Running(tmp_path).command("up", "--profile", "enormous")
    assert refused.returncode == 2
    assert re.search(r"'enormous'.*test.*dev.*baseline.*large", refused.stderr)
    assert not any(tmp_path.iterdir())


def test_a_supervisor_that_is_killed_takes_its_stack_along_and_no_other(stacks: tuple[Running, Running]) -> None:
    one, two = stacks
    pids = one.description["pids"]
    workers = _workers(one)
    assert workers
    os.kill(pids["supervisor"], signal.SIGKILL)
    eventually(lambda: all(gone(pid) for pid in [*pids.values(), *workers]), "every process of the stack ends")
    assert two.post() == 202
    assert one.command("down").returncode == 0
    assert not (one.directory / "state").exists()


def test_a_stack_that_cannot_continue_says_why_and_leaves_nothing_running(stacks: tuple[Running, Running]) -> None:
    two = stacks[1]
    pids = {**two.description["pids"]}
    workers = _workers(two)
    os.kill(pids["aws"], signal.SIGKILL)
    eventually(lambda: all(gone(pid) for pid in [*pids.values(), *workers]), "every process of the stack ends")
    assert "the stack stopped: aws was killed by SIGKILL" in (two.directory / "logs" / "stack.log").read_text()
    assert not (two.directory / "stack.json").exists()


def _workers(stack: Running) -> list[int]:
    """The processes that run functions; they are children of a child."""
    return [pid for function in _functions(stack).values() for pid in function["workers"]]


def _functions(stack: Running) -> dict[str, Any]:
    with urllib.request.urlopen(f"{stack.description['lambdas']}/_model/functions", timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
