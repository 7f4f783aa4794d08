"""Silences: what sends no messages for a while. Every silence has an end."""

from datetime import datetime

import msgspec


class Silence(msgspec.Struct, frozen=True):
    """Incidents of a fleet, of one of its rules, of one of its devices, or of a rule and a device."""

    silence_number: int
    fleet_id: str
    rule_id: str | None
    device_id: str | None
    until: datetime

    def covers(self, fleet_id: str, rule_id: str, device_id: str | None, now: datetime) -> bool:
        """Return whether it holds for a device, or with None for all of an incident's devices."""
        return (
            now < self.until
            and self.fleet_id == fleet_id
            and self.rule_id in (None, rule_id)
            and (self.device_id is None or self.device_id == device_id)
        )
