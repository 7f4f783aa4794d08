"""The directory of one stack: who runs it, how it is reached, its logs and its data."""

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from local.processes import StackError

_BORROWED = "postgres"
_LOCK_TRIES = 50
_REMOVAL_TRIES = 20


class Home:
    """One stack's directory; the lock on it tells the living supervisor from a leftover file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.logs = self.directory / "logs"
        self.state = self.directory / "state"
        self._description = self.directory / "stack.json"
        self._lock = self.directory / "supervisor.lock"

    @contextlib.contextmanager
    def supervising(self) -> Iterator[None]:
        """Be the one supervisor of this directory; the kernel lets go of the lock when we die, however that is."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with self._lock.open("a+") as lock:
            if not _locked(lock):
                raise StackError(f"a stack is running in {self.directory} already")
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def supervisor(self) -> int | None:
        """The process id of the living supervisor, if there is one."""
        if not self._lock.exists():
            return None
        with self._lock.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read() or 0) or None
        return None

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """Let one after the other start a stack here: the second finds it running."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "start.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def publish(self, description: dict[str, Any]) -> None:
        """Describe the running stack to tests and tools; a reader sees all of it or nothing."""
        unfinished = self._description.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(description, indent=2) + "\n")
        unfinished.rename(self._description)

    def withdraw(self) -> None:
        """Say that no stack can be used here."""
        self._description.unlink(missing_ok=True)

    def description(self) -> dict[str, Any] | None:
        """The running stack, once it is healthy and for as long as its supervisor lives."""
        pid = self.supervisor()
        try:
            found: dict[str, Any] = json.loads(self._description.read_text())
        except FileNotFoundError:
            return None
        return found if found["pids"]["supervisor"] == pid else None

    def borrow(self, directory: Path) -> None:
        """Remember a directory elsewhere that belongs to this stack's data."""
        (self.state / _BORROWED).symlink_to(directory)

    def clear(self) -> None:
        """Remove the stack's data, wherever it lies; its logs stay until the next start."""
        self.withdraw()
        self.give_back()
        _remove(self.state)

    def give_back(self) -> None:
        """Remove what was borrowed."""
        link = self.state / _BORROWED
        if link.is_symlink():
            _remove(link.readlink())
            link.unlink()


def _locked(lock: IO[str]) -> bool:
    # A process that looks for the supervisor holds the lock too, for a moment.
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False


def _remove(directory: Path) -> None:
    # A process whose supervisor was killed may still be writing its last files.
    for tries_left in reversed(range(_REMOVAL_TRIES)):
        try:
            shutil.rmtree(directory)
        except FileNotFoundError:
            return
        except OSError:
            if not tries_left:
                raise
            time.sleep(0.1)
