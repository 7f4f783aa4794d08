"""The result of a backtest: counts, the first incidents, and how much of the fleet was tested."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from sluice.core.backtest.histories import DeviceHistory
from sluice.core.backtest.opening import OpenedIncident
from sluice.core.backtest.windows import DAY_MINUTES
from sluice.core.times import write_optional, write_time

MOST_LISTED = 100
PER = 100
"""Rates are for so many device-days."""

Cut = Literal["", "time", "windows", "verdicts"]
"""Why not all devices were tested; "" if they were."""


class FirstIncident(msgspec.Struct, frozen=True):
    """One of the incidents."""

    opened_at: datetime
    resolved_at: datetime | None
    """None if it was open at the end of the tested days."""
    devices: int
    device_ids: list[str]
    value: float | None
    """With which it opened."""
    why: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """As it is stored."""

    since: datetime
    until: datetime
    devices: int
    """How many were tested."""
    rule_devices: int
    """How many the rule is for."""
    device_days: int
    windows: int
    incidents: int
    exact: bool
    """Whether nothing was guessed: each minute had one reading, so that their order, which is not stored, made no
    difference; and of silence, all devices that the rule is for show whether the fleet was asleep."""
    cut: Cut
    first_incidents: list[FirstIncident]

    def per_device_days(self) -> float | None:
        """Return how many incidents there were for each `PER` device-days."""
        return rate(self.incidents, self.device_days)

    def described(self) -> dict[str, Any]:
        """Write it as answers show it."""
        return {
            "from": write_time(self.since),
            "to": write_time(self.until),
            "devices": self.devices,
            "rule_devices": self.rule_devices,
            "device_days": self.device_days,
            "windows": self.windows,
            "incidents": self.incidents,
            "incidents_per_100_device_days": self.per_device_days(),
            "exact": self.exact,
            "cut": self.cut,
            "first_incidents": [
                {
                    "opened_at": write_time(each.opened_at),
                    "resolved_at": write_optional(each.resolved_at),
                    "devices": each.devices,
                    "device_ids": each.device_ids,
                    "value": each.value,
                    "why": each.why,
                }
                for each in self.first_incidents
            ],
        }


class Extent:
    """How much was tested so far."""

    def __init__(self, since: int, until: int, *, by_reading: bool) -> None:
        self.devices = self.device_days = self.windows = 0
        self.exact = True
        self._since, self._until, self._by_reading = since, until, by_reading

    def add(self, history: DeviceHistory) -> None:
        """Add a device."""
        self.devices += 1
        series = [one.minutes for one in history.series]
        minutes = history.sent or [minute for each in series for minute in each.at]
        tested = [minute for minute in minutes if self._since <= minute < self._until]
        self.windows += len(tested)
        self.device_days += len({(minute - self._since) // DAY_MINUTES for minute in tested})
        if self._by_reading:
            self.exact = self.exact and all(max(each.counts, default=1) == 1 for each in series)


def list_first_incidents(opened: Sequence[OpenedIncident]) -> list[FirstIncident]:
    """List the first incidents."""
    return [
        FirstIncident(
            one.incident.opened_at,
            one.incident.resolved_at,
            one.incident.devices,
            list(one.incident.examples),
            one.value,
            one.why,
        )
        for one in opened[:MOST_LISTED]
    ]


def rate(incidents: int, device_days: float) -> float | None:
    """Return how many incidents there are for each `PER` device-days; None without a day."""
    return round(PER * incidents / device_days, 4) if device_days else None
