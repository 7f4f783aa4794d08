"""What is measured: CPU time per event of a process and all its threads."""

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

ROUNDS = 4

_SCHEDULED = 2  # the kernel's clock of the time in which a process was running
_PARENT, _ENDED_USER, _ENDED_SYSTEM = 1, 13, 14  # of a process's line in /proc, from its state on


class Cost(msgspec.Struct):
    """What a workload costs: the best of several rounds, because the machine's other work is not ours."""

    cpu: float = float("inf")
    """Microseconds per event."""
    wall: float = float("inf")
    """Milliseconds per request."""
    steps: dict[str, float] = {}
    """CPU microseconds per event of each step that can be measured."""

    def better(self, other: "Cost") -> "Cost":
        """Take the lower of each figure."""
        steps = {name: min(cost, self.steps.get(name, cost)) for name, cost in other.steps.items()}
        return Cost(min(self.cpu, other.cpu), min(self.wall, other.wall), {**self.steps, **steps})


Costs = dict[str, Cost]  # by workload


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that running processes have used since they began."""
    return sum(time.clock_gettime(~pid << 3 | _SCHEDULED) for pid in pids)


def family_seconds(pid: int) -> float:
    """CPU time of a process and its children. That of ended children is counted in the kernel's ticks."""
    children = [
        int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _fields(stat)[_PARENT] == str(pid)
    ]
    seconds = 0.0
    for each in (pid, *children):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            seconds += cpu_seconds([each])
    own = _fields(Path(f"/proc/{pid}/stat"))
    return seconds + (int(own[_ENDED_USER]) + int(own[_ENDED_SYSTEM])) / os.sysconf("SC_CLK_TCK")


def _fields(stat: Path) -> list[str]:
    """Return what the kernel reports of a process, from its state on: the name before that may hold any text."""
    try:
        return stat.read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return [""] * (_PARENT + 1)


def write_costs(costs: Costs, path: Path) -> None:
    """Pass the result of one process to the next."""
    path.write_bytes(msgspec.json.encode(costs))


def read_costs(path: Path) -> Costs:
    """Take what another process measured."""
    return msgspec.json.decode(path.read_bytes(), type=Costs)
