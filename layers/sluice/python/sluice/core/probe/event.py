"""A probe event, and how answers say that it was accepted and is readable."""

import uuid
from datetime import UTC, datetime
from urllib.parse import urlencode

import msgspec

from sluice.core.times import write_time

FLEET = "sluice-probe"
"""A fleet of its own, so that no one else's numbers have its events."""
DEVICE = "probe-1"
METRIC = "cpu_temp"
FIRMWARE = "3.0.0"
ROUTE = "/v1/events"
READ_ROUTE = f"/v1/fleets/{FLEET}/recent?{urlencode({'device': DEVICE, 'metric': METRIC})}"
STEPS = 7
"""So many values in turn: a sensor that always says the same looks stuck, and one that leaps looks unusual."""


class ProbeEvent(msgspec.Struct, frozen=True):
    """One event: its body, and the time of its sample."""

    event_id: str
    at: datetime

    @property
    def correlation_id(self) -> str:
        """The id of its request, which logs and trace show."""
        return f"probe-{self.event_id}"

    def write(self) -> bytes:
        """Write the body."""
        minute = int(self.at.timestamp()) // 60
        # What its contract requires of this firmware.
        metrics = {"cpu_temp": 40.0 + minute % STEPS, "vibration_rms": 1.0, "humidity": 40.0, "motor_current": 2.0}
        return msgspec.json.encode(
            {
                "event_id": self.event_id,
                "device_id": DEVICE,
                "device_firmware_version": FIRMWARE,
                "timestamp": write_time(self.at),
                "metrics": metrics,
            }
        )


class _Result(msgspec.Struct, frozen=True):
    status: str


class _Answer(msgspec.Struct, frozen=True):
    results: list[_Result]


class _Series(msgspec.Struct, frozen=True):
    points: list[tuple[str, float | None]]


class _Recent(msgspec.Struct, frozen=True):
    items: list[_Series]


def make_event(event_id: uuid.UUID, now: datetime) -> ProbeEvent:
    """Make the event of a run."""
    return ProbeEvent(str(event_id), now.astimezone(UTC))


def is_accepted(status: int, body: bytes) -> bool:
    """Return whether ingest says that the event is stored."""
    if status != 202:
        return False
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except msgspec.DecodeError:
        return False
    return [one.status for one in answer.results] == ["accepted"]


def is_readable(event: ProbeEvent, status: int, body: bytes) -> bool:
    """Return whether query's answer has the event's sample."""
    if status != 200:
        return False
    try:
        recent = msgspec.json.decode(body, type=_Recent)
    except msgspec.DecodeError:
        return False
    return any(at == write_time(event.at) for series in recent.items for at, _ in series.points)
