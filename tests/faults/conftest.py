"""A stack of its own for the fault tests, and the means to break its parts."""

import asyncio
import contextlib
import json
import os
import random
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.fleet.devices import Sent
from tests import samples
from tests.flow.conftest import READERS, Stack, start, stop
from tests.invariants import Balance, balance
from tests.ledger import Ledger, digest, post_all

BROKERS = ("kafka-1", "kafka-2", "kafka-3")


class Injector:
    """Breaks parts of one stack, by the process ids of the moment."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def pid(self, part: str) -> int:
        """The part's process as it lives now; a part that was restarted has another."""
        pids: dict[str, int] = json.loads((self._stack.directory / "stack.json").read_text())["pids"]
        return pids[part]

    def kill(self, part: str) -> None:
        """End a part as a crash would."""
        os.kill(self.pid(part), signal.SIGKILL)

    def crash(self, part: str) -> None:
        """Kill a part, and wait until another process is in its place."""
        victim = self.pid(part)
        self.kill(part)
        wait_until(f"{part} is started again", lambda: self.pid(part) != victim)

    @contextlib.contextmanager
    def frozen(self, *parts: str) -> Iterator[None]:
        """Stop parts from doing anything, their connections left open; whatever happens, they go on afterwards."""
        pids = [pid for part in parts for pid in with_children(self.pid(part))]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def workers(self, verb: str) -> list[int]:
        """The processes that run a function now."""
        with urllib.request.urlopen(f"{self._stack['lambdas']}/_model/functions", timeout=10) as answer:
            status = json.load(answer)
        # One that is just being started has no process yet.
        return [int(pid) for pid in status[self._stack["functions"][verb]]["workers"] if pid is not None]

    @contextlib.contextmanager
    def killing_workers(self, verb: str, every_seconds: float, seed: int) -> Iterator[list[int]]:
        """Kill a random worker of a function again and again; the list says which were killed."""
        draw, over, killed = random.Random(seed), threading.Event(), []

        def kill() -> None:
            while not over.wait(every_seconds * (0.5 + draw.random())):
                if pids := self.workers(verb):
                    victim = draw.choice(pids)
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(victim, signal.SIGKILL)
                        killed.append(victim)

        thread = threading.Thread(target=kill)
        thread.start()
        try:
            yield killed
        finally:
            over.set()
            thread.join()

    @contextlib.contextmanager
    def holding_workers(self, verb: str) -> Iterator[set[int]]:
        """Stop every worker of a function, also those that are started meanwhile; afterwards they go on.

        The set says which are held; one that is held for longer than its function's timeout is killed by the model.
        """
        over, held = threading.Event(), set[int]()

        def hold() -> None:
            while not over.wait(0.05):
                for pid in set(self.workers(verb)) - held:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGSTOP)
                        held.add(pid)

        thread = threading.Thread(target=hold)
        thread.start()
        try:
            yield held
        finally:
            over.set()
            thread.join()
            for pid in held:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def invoking(self, verb: str) -> Iterator[None]:
        """Run a function again and again, beside whatever else runs it; how it ends is for others to see."""
        over = threading.Event()

        def run() -> None:
            while not over.wait(0.1):
                request = urllib.request.Request(self._invocations(verb), b"{}")
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(request, timeout=120).close()

        threads = [threading.Thread(target=run, daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()

    def _invocations(self, verb: str) -> str:
        return f"{self._stack['lambdas']}/2015-03-31/functions/{self._stack['functions'][verb]}/invocations"

    @contextlib.contextmanager
    def faulty_delivery(self, **faults: float) -> Iterator[None]:
        """Make the delivery stream refuse or lose a share of what it is given."""
        self._tell_firehose(faults)
        try:
            yield
        finally:
            self._tell_firehose({})

    def _tell_firehose(self, faults: dict[str, float]) -> None:
        request = urllib.request.Request(f"{self._stack['firehose']}/_model/faults", json.dumps(faults).encode())
        urllib.request.urlopen(request, timeout=10).close()


def with_children(parent: int) -> list[int]:
    """A process and those it started: a database answers from processes of their own."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [parent, *(pid for child in children for pid in with_children(int(child)))]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that is only there to be broken."""
    directory = tmp_path_factory.mktemp("faults")
    try:
        yield start(directory)
    finally:
        stop(directory)


@pytest.fixture
def injector(stack: Stack) -> Injector:
    """The means to break it."""
    return Injector(stack)


def wait_until(what: str, true: Any, seconds: float = 60) -> None:
    """Wait for something that has to become true, and say what it was when it does not."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"still not so: {what}"
        time.sleep(0.2)


def post_during(stack: Stack, batches: Iterator[list[Sent]]) -> tuple[threading.Thread, list[Ledger]]:
    """Post in the background; the ledger is there when the thread has ended."""
    ledgers: list[Ledger] = []

    def work() -> None:
        ledgers.append(asyncio.run(post_all(stack["api"], stack["keys"]["device"], batches, until_settled=True)))

    thread = threading.Thread(target=work)
    thread.start()
    return thread, ledgers


def letters(stack: Stack) -> list[dict[str, Any]]:
    """Every dead letter in the bucket, read without the table."""
    return [dict(letter.fields) for letter in stack.stores.letters()]


@pytest.fixture
def earlier(stack: Stack) -> set[str]:
    """What was stored before a test began, and the samples that tests post one by one."""
    stack.settle(READERS)
    return stack.stores.contents() | {digest(samples.read_bytes(path.name)) for path in samples.EVENTS.glob("*.json")}


def check(stack: Stack, ledger: Ledger, earlier: set[str]) -> Balance:
    """Wait until nothing is under way, and prove that everything is where it must be and nowhere else."""
    stack.settle_numbers(readers=READERS)
    return balance(ledger, stack.stores.read(), earlier)
