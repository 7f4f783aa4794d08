"""Incidents as alert writes them into the database, for tests of those who read them."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from sluice.edge.database import Connection

RULE = "hot"


def add_rule(connection: Connection, fleet_id: str, *, opens: float = 80.0, clear: float = 75.0) -> None:
    """Add a rule for `cpu_temp`."""
    connection.execute(
        'INSERT INTO rule (fleet_id, rule_id, kind, metric, unit, open, clear, breaches, "of", severity, created_at)'
        " VALUES (%s, %s, 'above', 'cpu_temp', 'degC', %s, %s, 3, 5, 'critical', now())",
        (fleet_id, RULE, opens, clear),
    )


def add_incident(connection: Connection, fleet_id: str, devices: list[str], **changed: Any) -> str:
    """Add an incident whose devices all still fire, unless it is resolved; return its id."""
    opened = changed.get("opened_at", datetime.now(UTC) - timedelta(minutes=20))
    resolved = changed.get("resolved_at")
    row = {
        "incident_id": secrets.token_hex(12),
        "fleet_id": fleet_id,
        "rule_id": RULE,
        "metric": "cpu_temp",
        "unit": "degC",
        "kind": "above",
        "severity": "critical",
        "threshold": 80.0,
        "state": "open" if resolved is None else "resolved",
        "resolution": None if resolved is None else "clear",
        "resolved_at": resolved,
        "opened_at": opened,
        "joined_at": opened,
        "read_at": opened,
        "changed_at": opened,
        "reopened": 0,
        "devices": len(devices),
        "open_devices": len(devices) if resolved is None else 0,
        "examples": devices[:5],
        "value": 83.5,
        "why": "cpu_temp is 83.5 degC; the rule opens above 80",
        "correlation_id": "",
        "told": "open",
        "told_devices": len(devices),
        "told_at": [opened],
        "told_acknowledged": False,
        "sequence": 1,
        "escalated_minutes": 0,
        "held": "",
    } | changed
    columns = ", ".join(row)
    values = ", ".join(f"%({name})s" for name in row)
    connection.execute(f"INSERT INTO incident ({columns}) VALUES ({values})", row)
    # Its first message is sent: a later one, which attend may write, has the next number.
    connection.execute(
        "INSERT INTO alert_message (incident_id, sequence, message, written_at, sent_at)"
        """ VALUES (%(incident_id)s, 1, '{"happening": "opened"}', %(opened_at)s, %(opened_at)s)""",
        row,
    )
    for device in devices:
        connection.execute(
            "INSERT INTO incident_device VALUES (%s, %s, %s, %s)", (row["incident_id"], device, opened, resolved)
        )
        # attend ends an incident of whose devices nothing was heard.
        connection.execute(
            "INSERT INTO series_state VALUES (%s, %s, %s, %s, '{}', now()) ON CONFLICT DO NOTHING",
            (fleet_id, row["rule_id"], row["metric"], device),
        )
    return str(row["incident_id"])
