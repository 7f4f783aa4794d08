"""PagerDuty's Events API v2, as its documentation says: what it refuses, and which incidents its events make."""

from datetime import datetime
from typing import Any

MOST_KEY, MOST_SUMMARY, MOST_BYTES = 255, 1024, 512 * 1024
ACTIONS = ("trigger", "acknowledge", "resolve")
SEVERITIES = ("critical", "error", "warning", "info")
KNOWN = {"routing_key", "event_action", "dedup_key", "payload", "images", "links", "client", "client_url"}
PAYLOAD = {"summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"}


def find_errors(event: Any, size: int) -> list[str]:
    """Return what is wrong with an event."""
    if not isinstance(event, dict) or size > MOST_BYTES:
        return ["the event is no object, or too large"]
    errors = [f"'{name}' is unknown" for name in sorted(set(event) - KNOWN)]
    if len(str(event.get("routing_key", ""))) != 32:
        errors.append("'routing_key' must be 32 characters")
    if event.get("event_action") not in ACTIONS:
        errors.append(f"'event_action' must be one of {ACTIONS}")
    key = event.get("dedup_key")
    if (key is None and event.get("event_action") != "trigger") or not 1 <= len(str(key or "-")) <= MOST_KEY:
        errors.append(f"'dedup_key' must be 1 to {MOST_KEY} characters")
    if event.get("event_action") == "trigger":
        errors += _errors_of_payload(event.get("payload"))
    for link in event.get("links", []):
        if not isinstance(link, dict) or not str(link.get("href", "")).startswith(("https://", "http://")):
            errors.append("'links' need an 'href'")
    return errors


def _errors_of_payload(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    errors = [f"'payload.{name}' is unknown" for name in sorted(set(payload) - PAYLOAD)]
    summary = payload.get("summary")
    if not isinstance(summary, str) or not 1 <= len(summary) <= MOST_SUMMARY:
        errors.append(f"'payload.summary' must be 1 to {MOST_SUMMARY} characters")
    if not isinstance(payload.get("source"), str) or not payload["source"]:
        errors.append("'payload.source' is missing or blank")
    if payload.get("severity") not in SEVERITIES:
        errors.append(f"'payload.severity' must be one of {SEVERITIES}")
    if "timestamp" in payload:
        try:
            datetime.fromisoformat(payload["timestamp"])
        except (TypeError, ValueError):
            errors.append("'payload.timestamp' is no time")
    return errors


class Incidents:
    """A key's trigger opens an incident unless one is open; after its end, a further trigger opens another one."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, str]] = []
        """Key and state of each, in the order of their opening."""

    def take(self, event: dict[str, Any]) -> None:
        """Take an event without errors."""
        key, action = event["dedup_key"], event["event_action"]
        number = next((at for at, (one, state) in enumerate(self.opened) if one == key and state != "resolved"), None)
        if action == "trigger" and number is None:
            self.opened.append((key, "triggered"))
        elif number is not None and action != "trigger":
            self.opened[number] = key, {"acknowledge": "acknowledged", "resolve": "resolved"}[action]
