"""An event for PagerDuty, as its Events API v2 has it.

A trigger after a resolve with the same key opens a new incident there. So the messages of an incident must come in
their order; a message that comes twice in a row changes nothing.
"""

import hashlib
from typing import Any

from sluice.core.alerts.messages import AlertMessage
from sluice.core.notify.wording import Wording, describe
from sluice.core.times import write_time

MOST_KEY, MOST_SUMMARY = 255, 1024
MOST_DETAIL = 2000

ACTIONS = {"resolved": "resolve", "acknowledged": "acknowledge"}
"""Any other happening triggers: a new incident there, or news of one."""


def write_pagerduty(message: AlertMessage, routing_key: str) -> dict[str, Any]:
    """Write the event."""
    action = ACTIONS.get(message.happening, "trigger")
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": write_key(message.incident_id),
    }
    if action != "trigger":
        return event
    said = describe(message)
    event["client"] = f"Sluice {message.stage}"
    event["payload"] = {
        "summary": said.headline[:MOST_SUMMARY],
        "source": message.examples[0] if message.devices == 1 and message.examples else message.fleet_id,
        # Its severities have the names of ours.
        "severity": message.severity,
        "timestamp": write_time(message.at),
        "component": message.metric or "device",
        "group": message.fleet_id,
        "class": message.kind,
        "custom_details": _write_details(message, said),
    }
    if said.link:
        event["client_url"] = said.link
        event["links"] = [{"href": said.link, "text": "Open the dashboard"}]
    return event


def write_key(incident_id: str) -> str:
    """Write the key under which PagerDuty finds an incident again."""
    return incident_id if len(incident_id) <= MOST_KEY else hashlib.sha256(incident_id.encode()).hexdigest()


def _write_details(message: AlertMessage, said: Wording) -> dict[str, str]:
    details = {
        "Where": said.where,
        "Since": said.since,
        "How bad": said.how_bad,
        "Why": said.why,
        "What to do": said.what_to_do,
        "Rule": message.rule_id,
        "Commands": "\n".join(said.commands),
        "Correlation id": message.correlation_id,
    }
    return {name: text[:MOST_DETAIL] for name, text in details.items() if text}
