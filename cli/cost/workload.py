"""How much a deployment has to do: how many devices report how often, and how many events they send in a request."""

from dataclasses import dataclass

DAYS = 365 / 12
HOURS = 24 * DAYS
"""Of an average month: what is there all the time is billed for all of them."""

BUDGETS = {10: 5_000, 100: 3_000}
"""Dollars that a month at baseline may cost, `SHORT` hours a day, by events in a request. A test compares."""

SHORT, LONG = 14.0, 24.0
"""How many hours a day devices report: people's devices, and machines that never stop."""


@dataclass(frozen=True)
class Workload:
    """A month's work."""

    devices: int
    events_per_second: float
    """While devices report."""
    hours_a_day: float = SHORT
    events_per_request: float = 10

    @property
    def seconds(self) -> float:
        """Seconds of a month in which devices report."""
        return self.hours_a_day * 3600 * DAYS

    @property
    def events(self) -> float:
        """Events of a month."""
        return self.events_per_second * self.seconds

    @property
    def requests(self) -> float:
        """Requests of a month."""
        return self.events / self.events_per_request


@dataclass(frozen=True)
class Size:
    """What a profile is made for."""

    devices: int
    average: float
    """Events a second."""
    peak: float

    def workload(self, *, events_per_request: float, hours_a_day: float = SHORT, peak: bool = False) -> Workload:
        """Return a month at the average rate, or one that is all peak."""
        return Workload(self.devices, self.peak if peak else self.average, hours_a_day, events_per_request)


SIZES = {
    "dev": Size(devices=100, average=10, peak=100),
    "baseline": Size(devices=50_000, average=5_000, peak=15_000),
    "large": Size(devices=500_000, average=50_000, peak=200_000),
}
"""By profile. The profile `test` is never deployed."""
