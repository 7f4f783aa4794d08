"""The incidents that an event caused, and the messages about them."""

from datetime import datetime

import msgspec


class TracedAttempt(msgspec.Struct, frozen=True):
    """One attempt to deliver a message to a destination."""

    destination_id: str
    attempt: int
    outcome: str
    status: int | None
    at: datetime


class TracedMessage(msgspec.Struct, frozen=True):
    """One message about an incident; its correlation id is that of the latest event by then."""

    sequence: int
    happening: str
    correlation_id: str
    written_at: datetime
    sent_at: datetime | None
    attempts: tuple[TracedAttempt, ...] | None
    """For operators: destinations may be those of all fleets."""


class TracedIncident(msgspec.Struct, frozen=True):
    """An incident that the device joined with the event."""

    incident_id: str
    rule_id: str
    metric: str
    severity: str
    state: str
    joined_at: datetime
    correlation_id: str
    messages: tuple[TracedMessage, ...]


def leave_attempts_out(incident: TracedIncident) -> TracedIncident:
    """Return an incident as a fleet's reader may see it."""
    messages = tuple(msgspec.structs.replace(message, attempts=None) for message in incident.messages)
    return msgspec.structs.replace(incident, messages=messages)
