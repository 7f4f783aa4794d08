"""Keeps the stack's processes running: restarts what dies, gives up on what cannot live, stops everything in order."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local.processes import Program, StackError, describe_end, excerpt, spawn, stop

Report = Callable[[str], None]


@dataclass(frozen=True)
class Patience:
    """How long a process may take, and how often it may fail."""

    start_seconds: float = 60
    stop_seconds: float = 5
    settled_seconds: float = 10
    """A life shorter than this, or one that never was ready, counts as a failure to live."""
    short_lives: int = 8
    """So many of them in a row are a crash loop."""
    first_backoff_seconds: float = 0.1
    longest_backoff_seconds: float = 3
    poll_seconds: float = 0.05


class Supervisor:
    """The parent of every process of one stack."""

    def __init__(
        self, logs: Path, report: Report, changed: Callable[[], None], patience: Patience | None = None
    ) -> None:
        self._logs = logs
        self._report = report
        self._changed = changed
        self._patience = patience or Patience()
        self._running: dict[str, tuple[Program, asyncio.subprocess.Process]] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of everything that runs now."""
        return {name: process.pid for name, (_, process) in self._running.items()}

    async def start(self, program: Program) -> None:
        """Start a program for the first time and wait until it is ready; from then on it is kept running."""
        began = asyncio.get_running_loop().time()
        process = await self._spawn(program)
        problem = await self._until_ready(program, process)
        if problem is not None:
            await stop(process, program.stop_signal, self._patience.stop_seconds)
            raise StackError(self._quote(program, problem))
        keeper = asyncio.create_task(self._keep(program, process, began))
        keeper.add_done_callback(self._kept)
        self._keepers.append(keeper)

    async def failed(self) -> None:
        """Wait for as long as the stack can live; raises when it cannot any more."""
        await asyncio.shield(self._failure)

    async def stop(self) -> None:
        """Stop everything, the last started first."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for program, process in reversed(list(self._running.values())):
            await stop(process, program.stop_signal, self._patience.stop_seconds)
        self._running.clear()
        self._failure.cancel()

    async def _keep(self, program: Program, process: asyncio.subprocess.Process, began: float) -> None:
        """Restart a program whenever it dies, until it cannot be helped."""
        clock = asyncio.get_running_loop().time
        short_lives = 0
        slow = None
        while True:
            problem = slow or describe_end(await process.wait())
            if program.irreplaceable:
                raise StackError(self._quote(program, f"{problem}, and what it held in memory is lost"))
            settled = slow is None and clock() - began >= self._patience.settled_seconds
            short_lives = 0 if settled else short_lives + 1
            if short_lives > self._patience.short_lives:
                raise StackError(self._quote(program, f"{problem}; so ended {short_lives} starts in a row"))
            self._report(f"{program.name} {problem}: starting it again")
            await asyncio.sleep(self._backoff(short_lives))
            began = clock()
            process = await self._spawn(program)
            self._changed()
            slow = await self._until_ready(program, process)
            if slow is None:
                self._report(f"{program.name} is back")
            else:
                await stop(process, program.stop_signal, self._patience.stop_seconds)

    async def _spawn(self, program: Program) -> asyncio.subprocess.Process:
        process = await spawn(program, self._log(program))
        self._running[program.name] = (program, process)
        return process

    async def _until_ready(self, program: Program, process: asyncio.subprocess.Process) -> str | None:
        """Wait until a process is ready; what is wrong with it, if it never is."""
        ready = asyncio.create_task(self._poll(program, process.pid))
        ended = asyncio.create_task(process.wait())
        try:
            await asyncio.wait(
                (ready, ended), timeout=self._patience.start_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if ended.done():
                return describe_end(ended.result())
            if ready.done():
                ready.result()
                return None
            return f"was not ready after {self._patience.start_seconds:.0f} s"
        finally:
            ready.cancel()
            ended.cancel()
            await asyncio.gather(ready, ended, return_exceptions=True)

    async def _poll(self, program: Program, pid: int) -> None:
        while not await program.ready(pid):
            await asyncio.sleep(self._patience.poll_seconds)

    def _backoff(self, short_lives: int) -> float:
        longest = self._patience.longest_backoff_seconds
        return float(min(longest, self._patience.first_backoff_seconds * 2**short_lives))

    def _kept(self, keeper: asyncio.Task[None]) -> None:
        if not keeper.cancelled() and not self._failure.done():
            error = keeper.exception()
            assert error is not None, "a keeper ends only by giving up"  # noqa: S101
            self._failure.set_exception(error)

    def _quote(self, program: Program, problem: str) -> str:
        log = self._log(program)
        return f"{program.name} {problem}; the end of {log}:\n{excerpt(log)}"

    def _log(self, program: Program) -> Path:
        return self._logs / f"{program.name}.log"
