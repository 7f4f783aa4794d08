"""One fleet's part of the bill: what it causes, and its part of what is there for all."""

import msgspec

from cli.cost.bill import Bill
from cli.cost.workload import Workload


class Use(msgspec.Struct, frozen=True):
    """What a fleet did in a time."""

    events: float
    requests: float


class Share(msgspec.Struct, frozen=True):
    """A fleet's dollars."""

    caused: float
    """By its requests and its events."""
    shared: float
    """Its part of everything else, by its events."""

    @property
    def total(self) -> float:
        """Both."""
        return self.caused + self.shared


def share(bill: Bill, work: Workload, fleet: Use, months: float = 1) -> Share:
    """Return a fleet's part of a bill whose workload is that of all fleets together, for a part of a month."""
    of_events = fleet.events / (work.events * months)
    of_requests = fleet.requests / (work.requests * months)
    caused = shared = 0.0
    for line in bill.lines:
        if line.driver == "requests":
            caused += line.usd * months * of_requests
        elif line.driver == "events":
            caused += line.usd * months * of_events
        else:
            shared += line.usd * months * of_events
    return Share(caused, shared)
