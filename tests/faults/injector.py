"""The means to break parts of a stack: kill, freeze, slow down, cut off, fill the disk, have errors answered."""

import contextlib
import ctypes
import json
import math
import os
import random
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from local.models.alarms import Alarms
from tests.flow.conftest import Stack

BROKERS = ("kafka-1", "kafka-2", "kafka-3")

# How long a throttled function is asked again.
PATIENCE_SECONDS = 60

_PIDFD_GETFD = 438
_DISCONNECT = b"\0" * 16  # an address of no family


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
    def giving_up_after(self, consumer: str, seconds: int) -> Iterator[None]:
        """Let a consumer's event source give up records of that age, and not of hours; it restarts before and after."""
        with self._mapped(consumer, maximum_age_seconds=seconds):
            yield

    @contextlib.contextmanager
    def disabled(self, consumer: str) -> Iterator[None]:
        """Disable a consumer's event source; all of them restart before and after."""
        with self._mapped(consumer, enabled=False):
            yield

    @contextlib.contextmanager
    def _mapped(self, consumer: str, **changed: object) -> Iterator[None]:
        config = self._stack.directory / "state" / "models" / "event_source.json"
        before = config.read_text()
        written = json.loads(before)
        (mapping,) = (one for one in written["mappings"] if one["group"] == self._stack["consumers"][consumer])
        mapping.update(changed)
        try:
            config.write_text(json.dumps(written))
            self.crash("event_source")
            yield
        finally:
            config.write_text(before)
            self.crash("event_source")

    @contextlib.contextmanager
    def frozen(self, *parts: str) -> Iterator[None]:
        """Freeze parts with their connections open. They resume afterwards in any case."""
        pids = [pid for part in parts for pid in with_children(self.pid(part))]
        _signal(pids, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(pids, signal.SIGCONT)

    @contextlib.contextmanager
    def slow(self, *parts: str, working_share: float = 0.1) -> Iterator[None]:
        """Let parts run for a share of the time only, in slices of a tenth of a second."""
        pids = [pid for part in parts for pid in with_children(self.pid(part))]

        def turn(over: threading.Event) -> None:
            while not over.wait(0.1 * working_share):
                _signal(pids, signal.SIGSTOP)
                over.wait(0.1 * (1 - working_share))
                _signal(pids, signal.SIGCONT)

        with _beside(turn):
            yield

    def cut(self, part: str) -> int:
        """Reset every connection that a part has with others; say how many those were."""
        return sum(_cut_connections(pid) for pid in with_children(self.pid(part)))

    @contextlib.contextmanager
    def cutting(self, part: str, every_seconds: float) -> Iterator[list[int]]:
        """Reset a part's connections again and again; the list says how many each time."""
        cuts: list[int] = []

        def cut(over: threading.Event) -> None:
            while not over.wait(every_seconds):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it may just have died
                    cuts.append(self.cut(part))

        with _beside(cut):
            yield cuts

    @contextlib.contextmanager
    def full_disk(self, *parts: str) -> Iterator[None]:
        """Let parts write nothing, as on a full disk; a part that ends over it has room again after its restart.

        A limit on the size of files stands in for the disk: a write beyond it fails, if with another number.
        """
        pids = [pid for part in parts for pid in with_children(self.pid(part))]
        _limit_files(pids, "0")
        try:
            yield
        finally:
            _limit_files(pids, "unlimited")

    @contextlib.contextmanager
    def deployed(self, verb: str, more: str) -> Iterator[None]:
        """Deploy a function with more code at the end of its handler, and restore it afterwards."""
        with self._rewritten(verb, lambda shipped: f"{shipped}\n\n{more}"):
            yield

    @contextlib.contextmanager
    def released(self, verb: str, layer: Path | None = None, **variables: str) -> Iterator[None]:
        """Deploy a function on another release's layer, or with other variables, and restore it afterwards."""
        first = ["import os", "import sys", f"os.environ.update({variables!r})"]
        if layer is not None:
            first.append(f"sys.path.insert(0, {str(layer / 'python')!r})")
        with self._rewritten(verb, lambda shipped: "\n".join([*first, shipped])):
            yield

    @contextlib.contextmanager
    def _rewritten(self, verb: str, rewrite: Callable[[str], str]) -> Iterator[None]:
        handler = Path(self._model(verb)["directory"]) / "handler.py"
        assert handler.is_relative_to(self._stack.directory), "only a copy may be changed"
        before = handler.read_text()
        handler.write_text(rewrite(before))
        self.end_workers(verb)
        try:
            yield
        finally:
            handler.write_text(before)
            self.end_workers(verb)

    def environment(self, verb: str) -> dict[str, str]:
        """The variables that a function was deployed with."""
        return dict(self._model(verb)["environment"])

    def layer(self, verb: str) -> Path:
        """The path of our layer that a function was deployed with."""
        (path,) = (Path(path).parent for path in self._model(verb)["layers"] if (Path(path) / "sluice").is_dir())
        return path

    def _models(self) -> dict[str, Any]:
        models: dict[str, Any] = json.loads((self._stack.directory / "state" / "models" / "lambdas.json").read_text())
        return models

    def _model(self, verb: str) -> dict[str, Any]:
        name = self._stack["functions"][verb]
        (model,) = (one for one in self._models()["functions"] if one["name"] == name)
        return dict(model)

    def recorded(self, verb: str, metric: str) -> list[float]:
        """Every value of a metric that a function has recorded so far."""
        log = Path(self._models()["directory"]) / f"{self._stack['functions'][verb]}.log"
        lines = (line for line in log.read_text(errors="replace").splitlines() if f'"{metric}":' in line)
        return [float(value) for line in lines for value in json.loads(line[line.index("{") :])[metric]]

    def alarms(self, since: float = math.inf) -> set[str]:
        """Say which alarms of the templates are on by the model, or were since a moment; without the stage."""
        read, now = Alarms.read(self._stack.directory), time.time()
        return {name.removeprefix(f"sluice-{self._stack['stage']}-") for name in read.on_since(min(since, now), now)}

    def invoke(self, verb: str, payload: object) -> Any:
        """Run a function and return its answer; scheduled runs may take all of its concurrency for a while."""
        request = urllib.request.Request(self._invocations(verb), json.dumps(payload).encode())
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with urllib.request.urlopen(request, timeout=120) as answer:
                    said = json.load(answer)
                    assert "X-Amz-Function-Error" not in answer.headers, said
                    return said
            except urllib.error.HTTPError as error:
                error.close()
                if error.code != 429 or time.monotonic() > deadline:
                    raise
            time.sleep(0.5)

    def end_workers(self, verb: str) -> None:
        """Kill every worker of a function. New workers run the current code."""
        killed = {*self.workers(verb)}
        _signal(killed, signal.SIGKILL)
        # A killed worker may still get work until its end is noticed.
        wait_until(f"the old workers of {verb} are gone", lambda: not killed.intersection(self.workers(verb)))

    def workers(self, verb: str) -> list[int]:
        """The processes that run a function now."""
        with urllib.request.urlopen(f"{self._stack['lambdas']}/_model/functions", timeout=10) as answer:
            status = json.load(answer)
        # One that is just being started has no process yet.
        return [int(pid) for pid in status[self._stack["functions"][verb]]["workers"] if pid is not None]

    @contextlib.contextmanager
    def killing_workers(self, verb: str, every_seconds: float, seed: int) -> Iterator[list[int]]:
        """Kill a random worker of a function again and again; the list says which were killed."""
        draw, killed = random.Random(seed), list[int]()

        def kill(over: threading.Event) -> None:
            while not over.wait(every_seconds * (0.5 + draw.random())):
                if pids := self.workers(verb):
                    victim = draw.choice(pids)
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(victim, signal.SIGKILL)
                        killed.append(victim)

        with _beside(kill):
            yield killed

    @contextlib.contextmanager
    def holding_workers(self, verb: str) -> Iterator[set[int]]:
        """Stop every worker of a function, also those that are started meanwhile; afterwards they resume.

        The set says which are held; one that is held for longer than its function's timeout is killed by the model.
        """
        held = set[int]()

        def hold(over: threading.Event) -> None:
            while not over.wait(0.05):
                for pid in set(self.workers(verb)) - held:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGSTOP)
                        held.add(pid)

        try:
            with _beside(hold):
                yield held
        finally:
            _signal(held, signal.SIGCONT)

    @contextlib.contextmanager
    def invoking(self, verb: str) -> Iterator[None]:
        """Run a function repeatedly, beside its other callers. Its outcomes are not checked here."""
        over = threading.Event()

        def run() -> None:
            while not over.wait(0.1):
                request = urllib.request.Request(self._invocations(verb), b"{}")
                try:
                    urllib.request.urlopen(request, timeout=120).close()
                except urllib.error.HTTPError as refused:
                    refused.close()
                except OSError:
                    pass  # the supervisor is down for a moment

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


def wait_until(what: str, true: Callable[[], object], seconds: float = 60) -> None:
    """Wait for a condition, and name it when it does not become true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"still not so: {what}"
        time.sleep(0.2)


@contextlib.contextmanager
def _beside(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Do something in the background until the block ends."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=[over])
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _limit_files(pids: Iterable[int], size: str) -> None:
    """Set how large a file processes may write. Their own user sets it, which needs no privilege."""
    for pid in pids:
        process = Path(f"/proc/{pid}")
        with contextlib.suppress(FileNotFoundError):  # it has ended
            owner = process.stat()
            become = ["setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"]
            command = [*(become if owner.st_uid != os.getuid() else ()), "prlimit", f"--pid={pid}", f"--fsize={size}:"]
            limited = subprocess.run(command, capture_output=True, check=False)
            assert limited.returncode == 0 or not process.exists(), limited.stderr


def _cut_connections(pid: int) -> int:
    """Disconnect each of a process's connected sockets, which resets the connection for both ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    process = os.pidfd_open(pid)
    cut = 0
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile, or no connection
                if not str(entry.readlink()).startswith("socket:"):
                    continue
                taken = libc.syscall(_PIDFD_GETFD, process, int(entry.name), 0)
                if taken < 0:
                    continue
                with socket.socket(fileno=taken) as line:
                    line.getpeername()
                    if line.family in (socket.AF_INET, socket.AF_INET6):
                        libc.connect(taken, _DISCONNECT, len(_DISCONNECT))
                        cut += 1
    finally:
        os.close(process)
    return cut
