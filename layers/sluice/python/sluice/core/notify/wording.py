"""What people read about an incident, in words that all forms share."""

from datetime import UTC, datetime, timedelta

import msgspec

from sluice.core.alerts.messages import AlertMessage
from sluice.core.detect.series_rules import RuleKind

# What a series does, as its rule saw it. A threshold stands behind the first two.
DOES: dict[RuleKind, str] = {
    "above": "is above",
    "below": "is below",
    "zscore": "is far from the last hour's mean",
    "baseline": "is far from its usual value at this time of the week",
    "range": "is outside of the range of the last days",
    "level": "has moved to another level",
    "stuck": "has stopped varying",
    "silence": "sends no readings",
}
THRESHOLDS: tuple[RuleKind, ...] = ("above", "below")

LOOK: dict[RuleKind, str] = {
    "above": "Check the machine first: the value is beyond a limit that someone set.",
    "below": "Check the machine first: the value is beyond a limit that someone set.",
    "zscore": "Look whether the value came back by itself. If it did not, check the machine.",
    "baseline": "Compare with the same hour of the last days. Was the machine used otherwise today?",
    "range": "Look whether it is one spike or lasts. One spike is often the sensor.",
    "level": "Look what changed when it moved: a firmware update, a repair, another product?",
    "stuck": "Check the sensor: a value that never changes is seldom measured.",
    "silence": "Check the device's power and network, then whether others beside it send.",
}


class Wording(msgspec.Struct, frozen=True):
    """The parts of a text about an incident."""

    headline: str
    where: str
    since: str
    how_bad: str
    why: str
    what_to_do: str
    link: str
    """To the dashboard; empty where the message has none, or one that is no address of a page."""
    commands: tuple[str, ...]
    """For who wants to know more, or to stop further messages."""


def describe(message: AlertMessage) -> Wording:
    """Describe what happened, where, since when, how bad it is and what to do."""
    if message.test:
        return _describe_test(message)
    return Wording(
        headline=write_headline(message),
        where=f"fleet {message.fleet_id}: {_name_devices(message)}",
        since=write_since(message),
        how_bad=_write_severity(message),
        why=message.why or "The rule gave no reason.",
        what_to_do=_write_advice(message),
        # The local stack has no certificate.
        link=message.dashboard if message.dashboard.startswith(("https://", "http://")) else "",
        commands=_write_commands(message),
    )


def write_headline(message: AlertMessage) -> str:
    """Say in one line what happened."""
    if message.test:
        return "Test: this destination is notified of incidents. There is none now"
    what = _write_finding(message)
    match message.happening:
        case "opened":
            return f"{message.severity.capitalize()}: {what}"
        case "updated":
            return f"{message.severity.capitalize()}, update: {what}"
        case "escalated":
            return f"{message.severity.capitalize()}, not acknowledged for {message.escalated_minutes} minutes: {what}"
        case "acknowledged":
            return f"Acknowledged: {what}"
        case "resolved":
            # It may be over because nothing came for a day: only the reason says whether all is well.
            return f"Resolved: {_put_in_past(what)}"
        case "silence_ended":
            return f"{message.severity.capitalize()}, still so after the silence: {what}"


def _describe_test(message: AlertMessage) -> Wording:
    return Wording(
        headline=write_headline(message),
        where=f"stage {message.stage}",
        since=write_since(message),
        how_bad=f"no incident. This destination gets incidents of severity {message.severity} and above",
        why=message.why,
        what_to_do="Nothing. If you did not expect this, ask your admins: the audit says who asked for it.",
        link="",
        commands=(f"sluice audit list --stage {message.stage}",),
    )


def write_since(message: AlertMessage) -> str:
    """Say since when, and for how long."""
    end = message.resolved_at or message.at
    lasted = write_duration(end - message.opened_at)
    if message.resolved_at is not None:
        return f"{write_minute(message.opened_at)} to {write_minute(message.resolved_at)} UTC ({lasted})"
    return f"{write_minute(message.opened_at)} UTC" + (f" ({lasted} ago)" if lasted else "")


def write_minute(moment: datetime) -> str:
    """Write a time as people do."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def write_duration(duration: timedelta) -> str:
    """Write a duration in its two largest units; nothing below a minute."""
    minutes = int(duration.total_seconds()) // 60
    if minutes < 1:
        return ""
    units = (("day", 24 * 60), ("hour", 60), ("minute", 1))
    parts = []
    for name, size in units:
        count, minutes = divmod(minutes, size)
        if count:
            parts.append(f"{count} {name}{'s' if count > 1 else ''}")
    return " ".join(parts[:2])


def write_value(value: float, unit: str) -> str:
    """Write a value with its unit."""
    return f"{value:.6g} {unit}".rstrip()


def _write_finding(message: AlertMessage) -> str:
    does = DOES[message.kind]
    if message.kind == "silence" and message.devices > 1:
        does = does.replace("sends", "send")
    finding = f"{_name_series(message)} {does}"
    if message.kind in THRESHOLDS:
        finding += f" {write_value(message.threshold, message.unit)}"
    return finding


def _put_in_past(finding: str) -> str:
    for now, before in ((" is ", " was "), (" has ", " had "), (" sends ", " sent "), (" send ", " sent ")):
        finding = finding.replace(now, before, 1)
    return finding


def _name_series(message: AlertMessage) -> str:
    if not message.metric:
        return message.examples[0] if message.devices == 1 and message.examples else f"{message.devices} devices"
    if message.devices == 1 and message.examples:
        return f"{message.metric} of {message.examples[0]}"
    return f"{message.metric} of {message.devices} devices"


def _name_devices(message: AlertMessage) -> str:
    named = ", ".join(message.examples)
    more = message.devices - len(message.examples)
    if message.devices == 1:
        return named or "1 device"
    if not named:
        return f"{message.devices} devices"
    return f"{message.devices} devices: {named}" + (f" and {more} more" if more > 0 else "")


def _write_severity(message: AlertMessage) -> str:
    parts: list[str] = [message.severity]
    if message.value is not None:
        parts.append(f"last value {write_value(message.value, message.unit)}")
    if message.devices > 1:
        parts.append(f"{message.devices} devices")
    return ", ".join(parts)


def _write_advice(message: AlertMessage) -> str:
    if message.happening == "resolved":
        return "Nothing. If it comes and goes, the rule may be too narrow."
    if message.devices > 1:
        return "Look for what these devices share: a network, a building, a firmware."
    return LOOK[message.kind]


def _write_commands(message: AlertMessage) -> tuple[str, ...]:
    stage = f" --stage {message.stage}"
    commands = [f"sluice alerts show {message.incident_id}{stage}"]
    if message.happening not in ("resolved", "acknowledged"):
        commands.append(f"sluice alerts acknowledge {message.incident_id}{stage}")
    if message.event_id is not None:
        commands.append(f"sluice trace {message.event_id}{stage}")
    return tuple(commands)
