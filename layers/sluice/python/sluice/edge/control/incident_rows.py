"""How incidents, series, silences and delivery attempts are described to admins."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from sluice.core.alerts.explaining import explain_series
from sluice.core.alerts.incidents import Incident
from sluice.core.alerts.series import Series
from sluice.core.control.requests import AdminRequest
from sluice.core.times import write_time
from sluice.edge.control.store import Changes

SILENCES = """
    SELECT silence_number, fleet_id, rule_id, device_id, until, reason, principal, made_at FROM silence
"""
"""The columns that `describe_silence` reads."""


def describe_incident(incident: Incident) -> dict[str, Any]:
    """Describe an incident, without what only alert needs."""
    described: dict[str, Any] = msgspec.to_builtins(incident, builtin_types=[datetime])
    for internal in ("told_devices", "told_severity", "told_acknowledged", "told_at", "correlation_id"):
        del described[internal]
    return {name: write_time(value) if isinstance(value, datetime) else value for name, value in described.items()}


def describe_series(row: tuple[Any, ...], now: datetime) -> dict[str, Any]:
    """Describe the state of a series under a rule."""
    rule_id, metric, device_id, heard_at, text = row
    series = msgspec.json.decode(text, type=Series)
    verdict = series.verdict
    return {
        "rule_id": rule_id,
        "metric": metric,
        "device_id": device_id,
        "heard_at": write_time(heard_at),
        "said": [*explain_series(series, now)],
        "why": next((one.why for one in reversed(series.latest) if one.why), ""),
        "statistics": msgspec.to_builtins(verdict.statistics) if verdict is not None else None,
        "readings": [
            {"at": write_time(one.at), "value": one.value, "state": one.state, "event_id": one.event_id}
            for one in series.latest
        ],
    }


def describe_silence(row: tuple[Any, ...]) -> dict[str, Any]:
    """Describe a silence."""
    number, fleet_id, rule_id, device_id, until, reason, principal, made_at = row
    return {
        "silence": number,
        "fleet_id": fleet_id,
        "rule_id": rule_id,
        "device_id": device_id,
        "until": write_time(until),
        "reason": reason,
        "principal": principal,
        "made_at": write_time(made_at),
    }


def describe_attempt(row: tuple[Any, ...]) -> dict[str, Any]:
    """Describe an attempt of notify."""
    sequence, destination_id, attempt, outcome, status, detail, at, seconds = row
    return {
        "sequence": sequence,
        "destination_id": destination_id,
        "attempt": attempt,
        "outcome": outcome,
        "status": status,
        "detail": detail,
        "at": write_time(at),
        "seconds": seconds,
    }


def audit(
    changes: Changes,
    request: AdminRequest,
    action: str,
    target: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any],
    reason: str | None,
) -> None:
    """Write the audit entry of a change."""
    changes.append([request.act(action, target, before, after, reason)])
