"""What is measured: CPU time of a process and all its threads, told per event."""

import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

ROUNDS = 4

_SCHEDULED = 2  # the kernel's clock of the time in which a process was running


class Cost(msgspec.Struct):
    """What a workload costs: the best of several rounds, since what the machine's other work adds is not ours."""

    cpu: float = float("inf")
    """Microseconds per event."""
    wall: float = float("inf")
    """Milliseconds per request."""
    steps: dict[str, float] = {}
    """CPU microseconds per event, of what can be told apart."""

    def better(self, other: "Cost") -> "Cost":
        """Take the lower of each figure."""
        steps = {name: min(cost, self.steps.get(name, cost)) for name, cost in other.steps.items()}
        return Cost(min(self.cpu, other.cpu), min(self.wall, other.wall), {**self.steps, **steps})


Costs = dict[str, Cost]  # by workload


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that running processes have used since they began."""
    return sum(time.clock_gettime(~pid << 3 | _SCHEDULED) for pid in pids)


def write_costs(costs: Costs, path: Path) -> None:
    """Hand the result of one process to the next."""
    path.write_bytes(msgspec.json.encode(costs))


def read_costs(path: Path) -> Costs:
    """Take what another process measured."""
    return msgspec.json.decode(path.read_bytes(), type=Costs)
