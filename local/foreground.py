"""Runs a stack in this process until it is asked to stop."""

import asyncio
import functools
import os
import shutil
import signal
import time

from local.home import Home
from local.ports import Ports
from local.processes import StackError
from local.resources import UnknownTemplatePart
from local.stack import Stack
from local.template import TemplateError


def run(home: Home, profile: str, owner: int | None = None) -> None:
    """Run until Ctrl-C or a termination signal, or until the owner ends; a stack that cannot go on says why."""
    with home.supervising():
        home.clear()
        _renew_logs(home)
        try:
            asyncio.run(_run(home, profile, owner))
        except* (StackError, TemplateError, UnknownTemplatePart) as failures:
            # What it left behind may explain it, and stays until the next start.
            raise StackError(f"the stack stopped: {_first(failures)}") from None
        else:
            home.clear()
        finally:
            home.give_back()


async def _run(home: Home, profile: str, owner: int | None) -> None:
    home.state.mkdir(parents=True)
    with Ports() as ports:
        running = asyncio.create_task(Stack(home, profile, ports, functools.partial(_say, time.monotonic())).run())
        stop = functools.partial(_cancel_once, running)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop)
        if owner is not None:
            loop.add_reader(_watch(owner), stop)
        try:
            await running
        except asyncio.CancelledError:
            print("the stack is stopped", flush=True)


def _say(began: float, message: str) -> None:
    print(f"{time.monotonic() - began:6.1f} s  {message}", flush=True)


def _cancel_once(running: asyncio.Task[None]) -> None:
    """A second Ctrl-C must not interrupt the stopping that the first began."""
    if not running.cancelling():
        running.cancel()


def _watch(owner: int) -> int:
    try:
        return os.pidfd_open(owner)
    except ProcessLookupError:
        raise StackError(f"process {owner}, with which the stack should end, has ended already") from None


def _renew_logs(home: Home) -> None:
    """Drop an earlier stack's logs, but for the one that may be our own output."""
    home.logs.mkdir(parents=True, exist_ok=True)
    for log in home.logs.iterdir():
        if log.is_dir():
            shutil.rmtree(log)
        elif log.name != "stack.log":
            log.unlink()


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
