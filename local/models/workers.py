"""The processes that run a function: AWS's own runtime client, one invocation at a time each."""

import asyncio
import contextlib
import logging
import os
import socket
from collections import deque
from typing import BinaryIO

from local.models.config import FunctionConfig, LambdasConfig
from local.models.invocations import Invocation, Outcome, exited, new_trace, timed_out
from local.models.runtime_api import runtime_api
from local.models.serve import serving
from local.processes import bound_to_us

log = logging.getLogger(__name__)

#: What Lambda gives an environment to start in; after it, the start is charged to the invocation's own timeout.
INIT_SECONDS = 10


class Throttled(Exception):
    """The function runs as many invocations as it may."""


class Worker:
    """One process and its runtime API; it ends when the process does."""

    def __init__(self, pool: "Pool") -> None:
        self.function = pool.function
        self.current: Invocation | None = None
        self.started = False
        self.settled = asyncio.Event()
        """Set once it has started, or will not."""
        self.pid: int | None = None
        self._pool = pool
        self._init_outcome: Outcome | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Starts the process, serves its runtime API and settles what it leaves behind."""
        listener = socket.create_server(("127.0.0.1", 0))
        host, port = listener.getsockname()
        with self._pool.log.open("ab") as output:
            async with serving(runtime_api(self), listener):
                try:
                    self._process = await self._start(f"{host}:{port}", output)
                except OSError:
                    log.exception("%s: a worker cannot be started", self.function.name)
                    self._ended(1)
                    return
                self.pid = self._process.pid
                self._limit(INIT_SECONDS + self.function.timeout_seconds)
                try:
                    self._ended(await self._process.wait())
                finally:
                    self.kill()
                    self._pool.discard(self)

    async def _start(self, address: str, output: BinaryIO) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *bound_to_us([self._pool.python, "-m", "awslambdaric", self.function.handler]),
            cwd=self.function.directory,
            env={**self._pool.environment, "AWS_LAMBDA_RUNTIME_API": address},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    async def next(self) -> Invocation:
        """Waits for the next invocation; the worker is idle meanwhile."""
        self._unlimit()
        self.started = True
        self.settled.set()
        return await self._pool.take(self)

    def begin(self, invocation: Invocation) -> None:
        """Takes responsibility for an invocation: from here on it ends in an outcome, even if the process dies."""
        self.current = invocation
        self._limit(self.function.timeout_seconds)

    def finish(self, outcome: Outcome) -> None:
        """Settles the current invocation by what the worker answered."""
        self._unlimit()
        if self.current is not None:
            self.current.end(outcome)
            self.current = None

    def fail_to_start(self, outcome: Outcome) -> None:
        """Remembers why the function cannot start; the invocation it was started for fails so when the process ends."""
        self._init_outcome = outcome

    def kill(self) -> None:
        """Ends the process at once, if it still runs."""
        self._unlimit()
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def _limit(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._time_out)

    def _unlimit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        log.warning("%s: worker %s timed out and is killed", self.function.name, self.pid)
        if self.current is not None:
            self.finish(timed_out(self.current, self.function.timeout_seconds))
        self.kill()

    def _ended(self, code: int) -> None:
        self._pool.discard(self)
        log.info("%s: worker %s ended with %s", self.function.name, self.pid, code)
        if self.current is not None:
            self.finish(exited(self.current, code))
        elif not self.started:
            # The caller that waited longest started this worker; failing one invocation per failed start ends the loop.
            self._pool.fail_oldest(self._init_outcome, code)
        self._pool.assign()


class Pool:
    """All workers of one function: started with the model or on demand, kept warm, never more than its share."""

    def __init__(self, function: FunctionConfig, config: LambdasConfig) -> None:
        self.function = function
        self.python = config.python
        self.log = config.log_of(function.name)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.environment = _environment(function, config)
        self.workers: set[Worker] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: deque[Invocation] = deque()
        self._idle: dict[Worker, asyncio.Future[Invocation]] = {}
        self._admitted = 0

    async def start(self) -> None:
        """Start the workers that have to be there before the first invocation; one that cannot start ends the wait."""
        await asyncio.gather(*(self._add().settled.wait() for _ in range(self.function.started)))

    async def invoke(self, payload: bytes) -> tuple[Invocation, Outcome]:
        """Runs one invocation to its end."""
        if self._admitted >= self.function.concurrency:
            raise Throttled
        self._admitted += 1
        try:
            invocation = Invocation(payload, asyncio.get_running_loop().create_future(), new_trace())
            self._waiting.append(invocation)
            self.assign()
            return invocation, await invocation.outcome
        finally:
            self._admitted -= 1

    async def take(self, worker: Worker) -> Invocation:
        """Hands the worker the invocation that waits longest, or the next that comes."""
        self._idle[worker] = asyncio.get_running_loop().create_future()
        assigned = self._idle[worker]
        self.assign()
        return await assigned

    def fail_oldest(self, outcome: Outcome | None, code: int) -> None:
        """Settles the invocation a worker was started for and could not serve."""
        if self._waiting:
            invocation = self._waiting.popleft()
            invocation.end(outcome or exited(invocation, code))

    def discard(self, worker: Worker) -> None:
        """Forgets a worker that has ended."""
        self.workers.discard(worker)
        if worker in self._idle:
            self._idle.pop(worker).cancel()

    async def stop(self) -> None:
        """Kill every worker and wait until it has ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def status(self) -> dict[str, object]:
        """What runs now."""
        return {
            "workers": [worker.pid for worker in self.workers],
            "running": sum(worker.current is not None for worker in self.workers),
            "waiting": len(self._waiting),
        }

    def assign(self) -> None:
        """Gives waiting invocations to idle workers, and starts workers for those left."""
        while self._waiting and self._idle:
            # The latest to become idle is the warmest.
            worker, assigned = self._idle.popitem()
            worker.begin(self._waiting[0])
            assigned.set_result(self._waiting.popleft())
        starting = sum(not worker.started for worker in self.workers)
        wanted = min(len(self._waiting) - starting, self.function.workers - len(self.workers))
        for _ in range(wanted):
            self._add()

    def _add(self) -> Worker:
        worker = Worker(self)
        self.workers.add(worker)
        task = asyncio.create_task(worker.run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: worker.settled.set())
        return worker


def _environment(function: FunctionConfig, config: LambdasConfig) -> dict[str, str]:
    """What Lambda sets for a function, and the function's own variables; nothing of this process's environment."""
    given = {
        "AWS_DEFAULT_REGION": config.region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "provisioned-concurrency" if function.started else "on-demand",
        "AWS_LAMBDA_LOG_FORMAT": function.log_format,
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "AWS_REGION": config.region,
        "LAMBDA_TASK_ROOT": function.directory,
        "LANG": "en_US.UTF-8",
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(function.layers),
        "TZ": ":UTC",
        "_HANDLER": function.handler,
    }
    if function.log_level is not None:
        given["AWS_LAMBDA_LOG_LEVEL"] = function.log_level
    return {**given, **function.environment}
