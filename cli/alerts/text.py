"""An incident, or a device's series, as lines for people."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

MARKS = {"breach": "!", "between": "-", "clear": "."}


def write_incident(found: Mapping[str, Any]) -> Iterator[str]:
    """Write an incident: what it is, what was done about it, and what led to it."""
    incident = found["incident"]
    until = f" to {incident['resolved_at']} ({incident['resolution']})" if incident["resolved_at"] else ""
    yield f"{incident['severity']} {incident['state']}: {incident['why']}"
    yield f"rule {incident['rule_id']} of fleet {incident['fleet_id']}, {incident['metric'] or 'all readings'}"
    yield f"from {incident['opened_at']}{until}; {incident['devices']} devices, {incident['open_devices']} of them open"
    yield from found["said"]
    yield from _section("devices", (_write_member(each) for each in found["devices"]))
    yield from _section("series", (line for each in found["series"] for line in _write_series(each)))
    yield from _section("silences", map(_write_silence, found["silences"]))
    yield from _section("messages, the newest first", map(_write_message, found["messages"]))
    yield from _section("attempts, the newest first", map(_write_attempt, found["attempts"]))


def write_device(found: Mapping[str, Any]) -> Iterator[str]:
    """Write why the series of a device fired or did not."""
    yield f"device {found['device_id']}"
    if not found["series"]:
        yield "There is no verdict on it: no reading breached a rule, or none of its series has a rule."
    yield from _section("series", (line for each in found["series"] for line in _write_series(each)))
    yield from _section("silences", map(_write_silence, found["silences"]))


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    written = [f"  {line}" for line in lines]
    if written:
        yield ""
        yield f"{title}:"
        yield from written


def _write_member(each: Mapping[str, Any]) -> str:
    return f"{each['device_id']} from {each['joined_at']} to {each['cleared_at'] or 'now'}"


def _write_series(each: Mapping[str, Any]) -> Iterator[str]:
    yield f"{each['device_id']} {each['metric']} under {each['rule_id']}: {each['why'] or 'no breach lately'}"
    for line in each["said"]:
        yield f"  {line}"
    statistics = each["statistics"]
    if statistics:
        yield (
            f"  compared with mean {statistics['mean']:g}, deviation {statistics['deviation']:g} of"
            f" {statistics['count']} values, computed at {statistics['computed_at']}"
        )
    for reading in each["readings"]:
        event = f"  event {reading['event_id']}" if reading["event_id"] else ""
        yield f"  {MARKS[reading['state']]} {reading['at']} {reading['value']:g}{event}"


def _write_silence(each: Mapping[str, Any]) -> str:
    of = " ".join(each[name] for name in ("rule_id", "device_id") if each[name]) or "the whole fleet"
    return f"{each['silence']}: {of} until {each['until']}, by {each['principal']}: {each['reason']}"


def _write_message(each: Mapping[str, Any]) -> str:
    return f"{each['sequence']} {each['happening']}, written {each['written_at']}, sent {each['sent_at'] or 'not yet'}"


def _write_attempt(each: Mapping[str, Any]) -> str:
    status = f" {each['status']}" if each["status"] is not None else ""
    detail = f": {each['detail']}" if each["detail"] else ""
    number = f"{each['sequence']}, attempt {each['attempt']}"
    return f"{each['at']} {each['destination_id']}, message {number}: {each['outcome']}{status}{detail}"
