"""The supervisor with real child processes: what it restarts, what it gives up on, and that nothing outlives it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from local.ports import Ports, port_of
from local.processes import ROOT, Program, StackError, bound_to_us
from local.supervisor import Patience, Supervisor
from tests.local.watching import eventually, gone

HASTY = Patience(start_seconds=30, stop_seconds=0.5, settled_seconds=60, short_lives=2, first_backoff_seconds=0.01)

SLEEPER = "import time; print('sleeping', flush=True); time.sleep(600)"
ECHO = """
import socket, sys
listener = socket.socket(fileno=int(sys.argv[1]))
while True:
    connection, _ = listener.accept()
    connection.sendall(b"here")
    connection.close()
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


def python(name: str, code: str, *arguments: str, **more: object) -> Program:
    return Program(name, [sys.executable, "-c", code, *arguments], **more)  # type: ignore[arg-type]


def supervised(
    logs: Path,
    scenario: Callable[[Supervisor], Awaitable[None]],
    reports: list[str] | None = None,
    patience: Patience = HASTY,
) -> None:
    """Run a scenario under a supervisor that is always stopped."""

    async def run() -> None:
        supervisor = Supervisor(logs, (reports if reports is not None else []).append, lambda: None, patience)
        try:
            await scenario(supervisor)
        finally:
            await supervisor.stop()

    asyncio.run(run())


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.02)


def logged(log: Path, text: str) -> Callable[[int], Awaitable[bool]]:
    async def ready(_pid: int) -> bool:
        return text in log.read_text()

    return ready


def test_a_killed_child_comes_back_on_the_same_port(tmp_path: Path) -> None:
    async def ask(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answer = await reader.read()
        writer.close()
        return answer

    async def scenario(supervisor: Supervisor) -> None:
        with Ports() as ports:
            listener = ports.listen()
            descriptor = listener.fileno()
            await supervisor.start(python("echo", ECHO, str(descriptor), inherited=(descriptor,)))
            assert await ask(port_of(listener)) == b"here"
            first = supervisor.pids["echo"]
            os.kill(first, signal.SIGKILL)
            # The socket is still ours: a call waits for the next process, unless the dying one took it along.
            assert (await ask(port_of(listener)) or await ask(port_of(listener))) == b"here"
            assert supervisor.pids["echo"] != first

    reports: list[str] = []
    supervised(tmp_path, scenario, reports)
    assert reports == ["echo was killed by SIGKILL: starting it again", "echo is back"]


def test_a_process_that_keeps_dying_ends_the_stack_with_its_last_output(tmp_path: Path) -> None:
    async def scenario(supervisor: Supervisor) -> None:
        await supervisor.start(python("broken", "import time; print('no disk'); time.sleep(0.3); raise SystemExit(3)"))
        await supervisor.failed()

    with pytest.raises(StackError, match=r"(?s)broken exited with 3; so ended 3 starts in a row.*no disk"):
        supervised(tmp_path, scenario)


def test_what_never_gets_ready_again_ends_the_stack(tmp_path: Path) -> None:
    first = iter([True])

    async def once(_pid: int) -> bool:
        return next(first, False)

    async def scenario(supervisor: Supervisor) -> None:
        await supervisor.start(python("mute", SLEEPER, ready=once))
        os.kill(supervisor.pids["mute"], signal.SIGKILL)
        await supervisor.failed()

    with pytest.raises(StackError, match="mute was not ready after 0 s; so ended 3 starts in a row"):
        supervised(tmp_path, scenario, patience=replace(HASTY, start_seconds=0.2))


def test_what_does_not_start_is_said_at_once(tmp_path: Path) -> None:
    async def never(_pid: int) -> bool:
        return False

    async def scenario(supervisor: Supervisor) -> None:
        await supervisor.start(python("broken", "raise SystemExit('wrong settings')", ready=never))

    with pytest.raises(StackError, match=r"(?s)broken exited with 1.*wrong settings"):
        supervised(tmp_path, scenario)


def test_what_cannot_be_replaced_ends_the_stack_when_it_dies(tmp_path: Path) -> None:
    async def scenario(supervisor: Supervisor) -> None:
        await supervisor.start(python("memory", SLEEPER, irreplaceable=True))
        os.kill(supervisor.pids["memory"], signal.SIGKILL)
        await supervisor.failed()

    with pytest.raises(StackError, match="memory was killed by SIGKILL, and what it held in memory is lost"):
        supervised(tmp_path, scenario)


def test_a_readiness_check_that_finds_a_stranger_ends_the_stack(tmp_path: Path) -> None:
    answers = iter([True])

    async def ready(_pid: int) -> bool:
        if next(answers, False):
            return True
        raise StackError("another process answers")

    async def scenario(supervisor: Supervisor) -> None:
        await supervisor.start(python("service", SLEEPER, ready=ready))
        os.kill(supervisor.pids["service"], signal.SIGKILL)
        await supervisor.failed()

    with pytest.raises(StackError, match="another process answers"):
        supervised(tmp_path, scenario)


def test_stopping_goes_backwards_and_ends_what_ignores_the_signal(tmp_path: Path) -> None:
    order = tmp_path / "order"
    note = "import signal, sys, time\n"
    note += "def end(*_):\n    open(sys.argv[2], 'a').write(sys.argv[1]); sys.exit()\n"
    note += "signal.signal(signal.SIGTERM, end)\nprint('ready', flush=True)\ntime.sleep(600)"
    pids: dict[str, int] = {}

    async def scenario(supervisor: Supervisor) -> None:
        for name in ("a", "b"):
            ready = logged(tmp_path / f"{name}.log", "ready")
            await supervisor.start(python(name, note, name, str(order), ready=ready))
        await supervisor.start(python("stubborn", STUBBORN, ready=logged(tmp_path / "stubborn.log", "ready")))
        pids.update(supervisor.pids)

    supervised(tmp_path, scenario)
    assert order.read_text() == "ba"
    assert all(gone(pid) for pid in pids.values())


def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    parent = f"""
import asyncio, sys
from pathlib import Path
from local.processes import Program
from local.supervisor import Supervisor

async def main():
    supervisor = Supervisor(Path({str(tmp_path)!r}), print, lambda: None)
    for name in ("one", "two"):
        await supervisor.start(Program(name, [sys.executable, "-c", {STUBBORN!r}]))
    print(*supervisor.pids.values(), flush=True)
    await supervisor.failed()

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", parent], cwd=ROOT, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        children = [int(pid) for pid in started.stdout.readline().split()]
        assert len(children) == 2
        started.kill()
    eventually(lambda: all(gone(pid) for pid in children), "children end with their supervisor")


def test_a_process_does_not_start_for_a_parent_that_has_died() -> None:
    def output(*started_by: str) -> str:
        command = [*started_by, *bound_to_us(["echo", "started"])]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert output() == "started\n"
    assert output("sh", "-c", '"$@"; true', "another parent") == ""


def test_a_reserved_port_is_for_whom_it_was_reserved() -> None:
    with Ports() as ports, socket.socket() as server:
        port = ports.reserve()
        assert port not in {port_of(ports.listen()) for _ in range(50)}
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
