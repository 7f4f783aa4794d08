"""The requests that are measured: the same for every program, as simulated devices send them."""

from dataclasses import dataclass
from datetime import UTC, datetime

from cli.simulation.devices import EVENTS, Fleet


@dataclass(frozen=True)
class Workload:
    """Batches of one size, and how many of them make a round."""

    name: str
    size: int
    batches: int
    devices: int = 500
    """With so many devices, a large batch reaches nearly every partition, as a gateway's batch does."""

    @property
    def events(self) -> int:
        """How many events a round has."""
        return self.size * self.batches

    def bodies(self) -> list[bytes]:
        """Write the requests of a round, all of whose events keep their contract."""
        fleet = Fleet(self.size, self.devices, lambda: datetime.now(UTC))
        slices = [fleet.good_event(EVENTS).body for _ in range(self.events)]
        return [
            b"[" + b",".join(slices[start : start + self.size]) + b"]" for start in range(0, self.events, self.size)
        ]


GATEWAY = Workload("100", 100, batches=20)

WORKLOADS = (
    Workload("1", 1, batches=150),
    Workload("10", 10, batches=50),
    GATEWAY,
    # The backlog of a device that was offline for a while: all of it belongs to one partition.
    Workload("100 of one device", 100, batches=20, devices=1),
)
