"""Waits for events in other processes. Timeouts are generous, since a loaded machine is slow."""

import time
from collections.abc import Callable
from pathlib import Path


def eventually(holds: Callable[[], object], what: str = "that it holds", patience: float = 90) -> None:
    """Wait until something holds; fail with what was waited for."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)


def gone(pid: int) -> bool:
    """Whether a process has ended, reaped by its parent or not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rpartition(")")[2].split()[0] in {"Z", "X"}
