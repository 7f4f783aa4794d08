"""One child process: how it is started, known to be ready, and stopped."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOG_EXCERPT_LINES = 15


class StackError(Exception):
    """The stack cannot run; the message is for the person who started it."""


@dataclass(frozen=True)
class Identity:
    """The user and group a process runs as, where that is not our own."""

    user: int
    group: int


async def at_once(_pid: int) -> bool:
    """Ready as soon as it runs."""
    return True


@dataclass(frozen=True)
class Program:
    """What to run, and what is known about running it."""

    name: str
    command: Sequence[str]
    ready: Callable[[int], Awaitable[bool]] = at_once
    """Whether the process of this id answers, and as itself; asked again and again while it starts."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to our own."""
    directory: Path = ROOT
    """Where it runs."""
    inherited: Sequence[int] = ()
    """File descriptors it takes over."""
    identity: Identity | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    """What the kernel sends it when we die."""
    irreplaceable: bool = False
    """Whether its state lives in its memory alone, so that a new process could not take its place."""


async def spawn(program: Program, log: Path) -> asyncio.subprocess.Process:
    """Start a program so that it cannot outlive us, with its output appended to a file."""
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *bound_to_us(program.command, program.death_signal, program.identity),
            cwd=program.directory,
            env={**os.environ, **program.environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=program.inherited,
            start_new_session=True,  # Ctrl-C is for us; we then stop our children in order
        )


def bound_to_us(
    command: Sequence[str], death_signal: signal.Signals = signal.SIGKILL, identity: Identity | None = None
) -> list[str]:
    """A command that ends when we die: `setpriv` sets the death signal after it has changed the user (that clears it).

    The kernel sends no signal for a parent that was dead by then, so the shell looks whether we are still the parent.
    """
    bound = ["setpriv", "--pdeathsig", death_signal.name.removeprefix("SIG")]
    if identity is not None:
        bound += ["--reuid", str(identity.user), "--regid", str(identity.group), "--clear-groups"]
    return [*bound, "sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"', str(os.getpid()), *command]


async def stop(process: asyncio.subprocess.Process, first: signal.Signals, seconds: float) -> None:
    """End a process: by the signal it expects, and by force when it takes longer than it may."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(first)
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def describe_end(code: int) -> str:
    """How a process ended, in words."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"


def excerpt(log: Path) -> str:
    """The last lines of a log, indented to stand out in a message."""
    lines = log.read_text(errors="replace").splitlines()[-LOG_EXCERPT_LINES:] if log.exists() else []
    return "\n".join(f"    | {line}" for line in lines) or "    | (it logged nothing)"


async def run_once(program: Program, logs: Path) -> None:
    """Run a program that does something and ends; a failure quotes its log."""
    log = logs / f"{program.name}.log"
    process = await spawn(program, log)
    try:
        code = await process.wait()
    finally:
        await stop(process, program.stop_signal, seconds=5)
    if code != 0:
        raise StackError(f"{program.name} {describe_end(code)}; the end of {log}:\n{excerpt(log)}")
