"""Where people are notified. A destination's address and key are a secret, which only notify reads."""

from typing import Literal

import msgspec

from sluice.core.detect.series_rules import Severity

DESTINATIONS = "destinations"
"""The kind of published control data."""
DestinationKind = Literal["slack", "pagerduty", "https"]


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """One destination as it is published."""

    destination_id: str
    version: int
    fleet_id: str | None
    """None: incidents of every fleet."""
    kind: DestinationKind
    secret: str
    """The name of its secret in Secrets Manager: JSON with `url`, `routing_key` or `signing_key`."""
    least_severity: Severity = "warning"
    after_minutes: int = 0
    """0: notified at once. More: only of incidents that no one has acknowledged for so long (an escalation)."""


def secrets_of(stage: str) -> str:
    """Return how the names of a stage's secrets begin; notify may read no others."""
    return f"sluice-{stage}-destinations/"
