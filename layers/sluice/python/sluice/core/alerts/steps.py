"""The steps of escalation: who is notified of an incident that no one has acknowledged, and after how long."""

import msgspec

from sluice.core.detect.series_rules import SEVERITIES, Severity


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """After so many minutes some destination wants a message."""

    after_minutes: int
    fleet_id: str | None = None
    """None: of incidents of every fleet."""
    least_severity: Severity = "info"

    def wants(self, fleet_id: str, severity: Severity) -> bool:
        """Return whether an incident of this fleet and severity is escalated by this step."""
        return self.fleet_id in (None, fleet_id) and SEVERITIES.index(severity) >= SEVERITIES.index(self.least_severity)
