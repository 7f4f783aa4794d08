"""Starts a stack in a process of its own, waits until it is healthy, and stops it."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from local.home import Home
from local.processes import ROOT, StackError

POLL_SECONDS = 0.1
STOP_SECONDS = 30


def up(home: Home, profile: str, owner: int | None = None) -> str:
    """Have a healthy stack in the directory, and say how it came about."""
    with home.starting():
        if home.supervisor() is not None:
            _until(lambda: home.description() is not None or home.supervisor() is None)
            running = home.description()
            if running is not None:
                return f"a stack with profile {running['profile']} is running already: {running['api']}"
        began = time.monotonic()
        running = _start(home, profile, owner)
    took = time.monotonic() - began
    return f"the stack is healthy after {took:.0f} s: {running['api']} (described in {home.directory / 'stack.json'})"


def down(home: Home) -> str:
    """Stop the stack, if one runs, and remove its data."""
    with home.starting():
        pid = home.supervisor()
        if pid is not None:
            _end(pid)
        home.clear()
    return "no stack is running" if pid is None else "the stack is stopped, and its data is gone"


def _start(home: Home, profile: str, owner: int | None) -> dict[str, Any]:
    home.logs.mkdir(parents=True, exist_ok=True)
    log = home.logs / "stack.log"
    command = [sys.executable, "-u", "-m", "local", "run", "--dir", str(home.directory), "--profile", profile]
    if owner is not None:
        command += ["--owner", str(owner)]
    with log.open("wb") as output:
        started = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _until(lambda: home.description() is not None or started.poll() is not None)
    except BaseException:
        if started.poll() is None:
            started.terminate()
            started.wait()
        raise
    running = home.description()
    if running is None:
        raise StackError(f"the stack did not start; all its logs are in {home.logs}\n\n{log.read_text()}")
    return running


def _end(pid: int) -> None:
    """Stop a supervisor, by force if need be, and wait until it has ended."""
    with contextlib.suppress(ProcessLookupError), _watched(pid) as process:
        for number in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(process, number)
            ended, _, _ = select.select([process], [], [], STOP_SECONDS)
            if ended:
                return
        raise StackError(f"the supervisor, process {pid}, cannot be stopped")


@contextlib.contextmanager
def _watched(pid: int) -> Iterator[int]:
    process = os.pidfd_open(pid)
    try:
        yield process
    finally:
        os.close(process)


def _until(holds: Callable[[], bool]) -> None:
    while not holds():
        time.sleep(POLL_SECONDS)
