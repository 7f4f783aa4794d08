"""An incident: devices that fire under one rule together. Its state, and which message about it is due.

The state and what messages have said of it are kept apart. What is due follows from both, so a message that must wait
is written later if it is still true then, and not at all if it is not.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from sluice.core.alerts.limits import GROWTH, HOUR, MOST_OF_MANY, MOST_OF_ONE, SETTLED
from sluice.core.alerts.links import link_series
from sluice.core.alerts.messages import MOST_EXAMPLES, AlertMessage, Happening, StageAddress
from sluice.core.alerts.series import SeriesKey
from sluice.core.alerts.steps import Step
from sluice.core.detect.series_rules import SEVERITIES, RuleKind, Severity
from sluice.core.detect.verdicts import Judged, Verdict

MOST_WHY = 500

State = Literal["open", "resolved"]
Told = Literal["nothing", "open", "resolved"]
Resolution = Literal["clear", "unheard", "by_hand"]
Held = Literal["", "silence", "storm"]


class Incident(msgspec.Struct, kw_only=True):
    """One incident, as its row has it."""

    incident_id: str
    fleet_id: str
    rule_id: str
    metric: str
    unit: str
    kind: RuleKind
    severity: Severity
    threshold: float
    state: State = "open"
    opened_at: datetime
    """The time of the reading with which it fired."""
    joined_at: datetime
    """The time of the reading with which its latest device fired."""
    changed_at: datetime
    """When its state changed last, by alert's clock."""
    resolved_at: datetime | None = None
    resolution: Resolution | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    reopened: int = 0
    devices: int = 0
    open_devices: int = 0
    examples: list[str] = []
    value: float | None = None
    why: str = ""
    read_at: datetime
    event_id: str | None = None
    correlation_id: str = ""
    told: Told = "nothing"
    """What the last message about its state said."""
    told_devices: int = 0
    told_severity: Severity | None = None
    told_at: list[datetime] = []
    first_told_at: datetime | None = None
    sequence: int = 0
    escalated_minutes: int = 0
    told_acknowledged: bool = False
    held: Held = ""
    """Why a message about it waits that was due."""
    false_alarm: bool = False
    """Whether someone has said that nothing was wrong."""


def name_incident(key: SeriesKey, partition: int, reading: Judged) -> str:
    """Return the id of the incident that a series opens with a reading: always the same one."""
    parts = [key.fleet_id, key.rule_id, key.metric, key.device_id, partition, reading.position, reading.at]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:24]


def open_incident(key: SeriesKey, verdict: Verdict, reading: Judged, now: datetime) -> Incident:
    """Open an incident, with no device yet."""
    return Incident(
        incident_id=name_incident(key, verdict.partition, reading),
        fleet_id=key.fleet_id,
        rule_id=key.rule_id,
        metric=key.metric,
        unit=verdict.unit,
        kind=verdict.kind,
        severity=verdict.severity,
        threshold=verdict.open,
        opened_at=reading.at,
        joined_at=reading.at,
        changed_at=now,
        read_at=reading.at,
    )


def join_incident(incident: Incident, device_id: str, verdict: Verdict, reading: Judged, *, new: bool) -> None:
    """Add a device that fires, or one that fires again."""
    incident.open_devices += 1
    if new:
        incident.devices += 1
        incident.joined_at = max(incident.joined_at, reading.at)
        if len(incident.examples) < MOST_EXAMPLES:
            incident.examples = [*incident.examples, device_id]
    raise_severity(incident, verdict.severity)
    incident.value, incident.why, incident.threshold = reading.value, reading.why[:MOST_WHY], verdict.open
    incident.read_at, incident.event_id = reading.at, reading.event_id
    incident.correlation_id = choose_correlation_id(verdict, reading)


def choose_correlation_id(verdict: Verdict, reading: Judged) -> str:
    """Return the correlation id of a reading's event: an older release of detect names one for the whole verdict."""
    return reading.correlation_id or verdict.correlation_id


def raise_severity(incident: Incident, severity: Severity) -> bool:
    """Make an incident worse, if its rule now is; return whether it was."""
    worse = SEVERITIES.index(severity) > SEVERITIES.index(incident.severity)
    if worse:
        incident.severity = severity
    return worse


def resolve_incident(incident: Incident, resolution: Resolution, at: datetime, now: datetime) -> None:
    """End an incident."""
    incident.state, incident.resolution, incident.resolved_at = "resolved", resolution, at
    incident.open_devices, incident.changed_at = 0, now
    incident.held = ""


def reopen_incident(incident: Incident, now: datetime) -> None:
    """Open an incident again. Someone who acknowledged it believes that it is over.

    Those to whom it was escalated are notified at once: no step is taken twice.
    """
    incident.state, incident.resolution, incident.resolved_at = "open", None, None
    incident.acknowledged_at = incident.acknowledged_by = None
    incident.told_acknowledged = False
    incident.reopened += 1
    incident.changed_at = now


def find_due(
    incident: Incident, now: datetime, *, silenced: bool, storm: bool, steps: Sequence[Step]
) -> Happening | None:
    """Return which message about an incident is due now; remember why one waits."""
    left = count_left(incident, now)
    if incident.state == "resolved":
        if incident.told != "open":
            return None
        settled = now - incident.changed_at >= SETTLED
        return "resolved" if left > 1 or (left == 1 and settled) else None
    if silenced:
        incident.held = "silence"
        return None
    if incident.told == "nothing":
        if incident.held == "silence":
            return "silence_ended"
        if storm:
            incident.held = "storm"
            return None
        return "opened"
    if incident.told == "open" and incident.acknowledged_at is not None and not incident.told_acknowledged:
        return "acknowledged"
    if incident.held == "" and find_step(incident, now, steps) > incident.escalated_minutes:
        return "escalated"
    if left < 1:
        return None
    if incident.held == "silence":
        return "silence_ended"
    if incident.told == "resolved":
        return "updated"
    return "updated" if left > 1 and _has_grown(incident) else None


def count_left(incident: Incident, now: datetime) -> int:
    """Count the messages that an incident may still send in this hour, beside those about its acknowledgement."""
    most = MOST_OF_ONE if incident.devices <= 1 else MOST_OF_MANY
    return most - sum(now - at < HOUR for at in incident.told_at)


def find_step(incident: Incident, now: datetime, steps: Sequence[Step]) -> int:
    """Return the longest of its steps, in minutes, for which no one has acknowledged an incident; 0 for none."""
    if incident.acknowledged_at is not None or incident.told != "open":
        return 0
    since = max(incident.changed_at, incident.first_told_at or now)
    wanted = (each.after_minutes for each in steps if each.wants(incident.fleet_id, incident.severity))
    return max((each for each in wanted if now - since >= timedelta(minutes=each)), default=0)


def tell(
    incident: Incident, happening: Happening, now: datetime, sender: StageAddress, steps: Sequence[Step]
) -> AlertMessage:
    """Write the next message of an incident."""
    if happening == "escalated":
        incident.escalated_minutes = find_step(incident, now, steps)
    incident.sequence += 1
    if happening == "acknowledged":
        incident.told_acknowledged = True
    elif happening != "escalated":
        incident.told = "resolved" if happening == "resolved" else "open"
        incident.told_devices, incident.told_severity = incident.devices, incident.severity
        incident.told_at = [*incident.told_at, now][-MOST_OF_MANY:]
        incident.first_told_at = incident.first_told_at or now
        incident.held = ""
    return AlertMessage(
        incident_id=incident.incident_id,
        sequence=incident.sequence,
        happening=happening,
        stage=sender.stage,
        fleet_id=incident.fleet_id,
        rule_id=incident.rule_id,
        kind=incident.kind,
        metric=incident.metric,
        unit=incident.unit,
        severity=incident.severity,
        devices=incident.devices,
        examples=tuple(incident.examples),
        value=incident.value,
        threshold=incident.threshold,
        why=_say_why(incident, happening),
        opened_at=incident.opened_at,
        at=now,
        resolved_at=incident.resolved_at,
        read_at=incident.read_at,
        event_id=incident.event_id,
        dashboard=_link(incident, now, sender.dashboard),
        correlation_id=incident.correlation_id,
        escalated_minutes=incident.escalated_minutes,
    )


def _link(incident: Incident, now: datetime, dashboard: str) -> str:
    # Of several devices, the fleet shows more than one of them.
    device_id = incident.examples[0] if incident.devices == 1 and incident.examples else None
    return link_series(
        dashboard,
        fleet_id=incident.fleet_id,
        device_id=device_id,
        metric=incident.metric,
        since=incident.opened_at,
        until=incident.resolved_at or now,
    )


def _has_grown(incident: Incident) -> bool:
    told = incident.told_severity or incident.severity
    raised = SEVERITIES.index(incident.severity) > SEVERITIES.index(told)
    return raised or incident.devices >= GROWTH * max(incident.told_devices, 1)


def _say_why(incident: Incident, happening: Happening) -> str:
    if happening == "resolved":
        return {
            "unheard": "No reading of it was judged for a day. That does not show that it is well.",
            "by_hand": "Someone has resolved it.",
        }.get(incident.resolution or "", incident.why)
    if happening == "updated" and incident.reopened:
        return f"It fired again after its end ({incident.reopened} times so far). {incident.why}"
    return incident.why
