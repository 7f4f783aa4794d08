"""The message about an incident, as SNS delivers it: a contract for subscribers (`schemas/alert`)."""

from datetime import datetime
from typing import Literal

import msgspec

from sluice.core.detect.series_rules import RuleKind, Severity

VERSION = 1
Happening = Literal["opened", "updated", "escalated", "acknowledged", "resolved", "silence_ended"]
MOST_EXAMPLES = 5


class StageAddress(msgspec.Struct, frozen=True):
    """The stage that sends messages, and where its dashboard is."""

    stage: str
    dashboard: str


class AlertMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to an incident. Messages of one incident are delivered in the order of `sequence`."""

    version: int = VERSION
    incident_id: str
    sequence: int
    """From 1, without gaps: SNS's group is the incident, and its deduplication id is `<incident_id>-<sequence>`."""
    happening: Happening
    stage: str
    fleet_id: str
    rule_id: str
    kind: RuleKind
    metric: str
    unit: str
    severity: Severity
    devices: int
    """How many devices; more than one for an incident of a group."""
    examples: tuple[str, ...]
    """Some of the devices."""
    value: float | None
    threshold: float
    why: str
    opened_at: datetime
    at: datetime
    """When this happened."""
    resolved_at: datetime | None = None
    read_at: datetime
    """The time of the reading that caused it; from there, the time to the notification counts."""
    event_id: str | None = None
    """An event of the breach, for `sluice trace`."""
    dashboard: str = ""
    """A link to the series on the dashboard."""
    correlation_id: str = ""
    escalated_minutes: int = 0
    """For how many minutes no one had acknowledged it when it was escalated last; 0 if it was not."""
    test: bool = False
    """Whether an admin only tries a destination: there is no incident."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What notify reports back about one delivery."""

    version: int = 1
    incident_id: str
    sequence: int
    destination_id: str
    attempt: int
    outcome: Literal["delivered", "failed", "refused", "given_up"]
    status: int | None = None
    """The HTTP status, if there was an answer."""
    detail: str = ""
    at: datetime
    seconds: float
