"""Admins' requests about incidents: lists, why someone was woken or not, acknowledgement, ends and silences."""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import msgspec

from sluice.core.alerts.explaining import explain_incident
from sluice.core.alerts.incidents import Incident
from sluice.core.alerts.silences import Silence
from sluice.core.control.requests import AdminRequest, check_reason
from sluice.core.detect.series_rules import SEVERITIES
from sluice.core.errors import Refusal
from sluice.core.query.parameters import Parameters
from sluice.core.times import write_optional, write_time
from sluice.edge.alerts.tables import AlertTables
from sluice.edge.control.incident_rows import (
    SILENCES,
    audit,
    describe_attempt,
    describe_incident,
    describe_series,
    describe_silence,
)
from sluice.edge.control.store import Changes, ControlStore, Kept
from sluice.edge.database import Connection

STATES = ("open", "resolved")
DEFAULT_LISTED, MOST_LISTED = 100, 1000
MOST_SHOWN = 100

_INCIDENT = "SELECT to_jsonb(incident)::text FROM incident"
_DEVICES = """
    SELECT device_id, joined_at, cleared_at FROM incident_device
    WHERE incident_id = %s ORDER BY cleared_at NULLS FIRST, joined_at, device_id LIMIT %s
"""
_MESSAGES = """
    SELECT sequence, message ->> 'happening', written_at, sent_at FROM alert_message
    WHERE incident_id = %s ORDER BY sequence DESC LIMIT %s
"""
_ATTEMPTS = """
    SELECT sequence, destination_id, attempt, outcome, status, detail, at, seconds FROM delivery
    WHERE incident_id = %s ORDER BY at DESC LIMIT %s
"""
_SERIES = """
    SELECT rule_id, metric, device_id, heard_at, state::text FROM series_state
    WHERE fleet_id = %(fleet)s AND device_id = ANY(%(devices)s)
        AND (%(rule)s::text IS NULL OR (rule_id = %(rule)s AND metric = %(metric)s))
    ORDER BY heard_at DESC LIMIT %(most)s
"""


class WantedResolution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request to resolve an incident."""

    reason: str = ""
    false_alarm: bool = False
    """Nothing was wrong. Also of an incident that has ended by itself."""


class Incidents(msgspec.Struct, frozen=True):
    """What admins and operators ask of incidents."""

    store: ControlStore

    def list(self, request: AdminRequest) -> dict[str, Any]:
        """List incidents, the newest first."""
        given = Parameters(request.query, ["fleet_id", "device_id", "state", "severity", "limit"])
        fleet_id, device_id = given.text("fleet_id", 64), given.text("device_id", 128)
        state = given.choice("state", ["all", *STATES], "all")
        severity = given.choice("severity", ["all", *SEVERITIES], "all")
        most = given.whole("limit", 1, MOST_LISTED, DEFAULT_LISTED)
        query: LiteralString = f"""{_INCIDENT}
            WHERE (%(fleet)s::text IS NULL OR fleet_id = %(fleet)s)
                AND (%(state)s = 'all' OR state = %(state)s) AND (%(severity)s = 'all' OR severity = %(severity)s)
                AND (%(device)s::text IS NULL OR EXISTS (
                    SELECT FROM incident_device AS one
                    WHERE one.incident_id = incident.incident_id AND one.device_id = %(device)s
                ))
            ORDER BY opened_at DESC, incident_id LIMIT %(most)s"""
        asked = {"fleet": fleet_id, "device": device_id, "state": state, "severity": severity, "most": most}
        with self.store.reading() as rows:
            found = [_read(text) for (text,) in rows.connection.execute(query, asked)]
        return {"items": [describe_incident(each) for each in found], "next_cursor": None}

    def show(self, request: AdminRequest) -> dict[str, Any]:
        """Show an incident: what led to it, the messages about it, and what became of them."""
        Parameters(request.query, known=())
        with self.store.reading() as rows:
            connection = rows.connection
            incident = _find(connection, request.path["incident"])
            where = f"""{SILENCES} WHERE fleet_id = %s AND until > %s AND (rule_id IS NULL OR rule_id = %s)
                ORDER BY silence_number"""
            given = [incident.fleet_id, incident.opened_at, incident.rule_id]
            silences = connection.execute(where, given).fetchall()
            devices = connection.execute(_DEVICES, [incident.incident_id, MOST_SHOWN]).fetchall()
            messages = connection.execute(_MESSAGES, [incident.incident_id, MOST_SHOWN]).fetchall()
            attempts = [
                describe_attempt(row) for row in connection.execute(_ATTEMPTS, [incident.incident_id, MOST_SHOWN])
            ]
            asked = _ask_series(incident.fleet_id, incident.examples, incident.rule_id, incident.metric)
            series = connection.execute(_SERIES, asked).fetchall()
        matching = [Silence(*row[:5]) for row in silences]
        return {
            "incident": describe_incident(incident),
            "said": [*explain_incident(incident, matching, attempts, request.now)],
            "devices": [
                {"device_id": name, "joined_at": write_time(joined), "cleared_at": write_optional(cleared)}
                for name, joined, cleared in devices
            ],
            "series": [describe_series(row, request.now) for row in series],
            "silences": [describe_silence(row) for row in silences],
            "messages": [
                {"sequence": number, "happening": what, "written_at": write_time(at), "sent_at": write_optional(sent)}
                for number, what, at, sent in messages
            ],
            "attempts": attempts,
        }

    def show_device(self, request: AdminRequest) -> dict[str, Any]:
        """Show why a device's series fired, or did not."""
        Parameters(request.query, known=())
        with self.store.reading() as rows:
            fleet = rows.fleet(request.path["fleet"])
            device_id = request.path["device"]
            if "\0" in device_id:
                return {"device_id": device_id, "series": [], "silences": []}
            connection = rows.connection
            series = connection.execute(_SERIES, _ask_series(fleet.fleet_id, [device_id])).fetchall()
            where = f"{SILENCES} WHERE fleet_id = %s AND until > %s AND (device_id IS NULL OR device_id = %s)"
            silences = connection.execute(where, [fleet.fleet_id, request.now, device_id]).fetchall()
        return {
            "device_id": device_id,
            "series": [describe_series(row, request.now) for row in series],
            "silences": [describe_silence(row) for row in silences],
        }

    def acknowledge(self, request: AdminRequest) -> dict[str, Any]:
        """Acknowledge an incident: someone looks after it, and it is not escalated."""
        Parameters(request.query, known=())
        with self.store.changing() as changes:
            return changes.change_once(request, lambda: _acknowledge(changes, request)).body

    def resolve(self, request: AdminRequest) -> dict[str, Any]:
        """Resolve an incident by hand, or mark one as a false alarm. A device that still breaches opens it again."""
        Parameters(request.query, known=())
        wanted = request.read(WantedResolution)
        reason = check_reason(wanted.reason)
        with self.store.changing() as changes:
            return changes.change_once(
                request, lambda: _resolve(changes, request, reason, false_alarm=wanted.false_alarm)
            ).body


def _acknowledge(changes: Changes, request: AdminRequest) -> Kept:
    incident = _lock(changes, request)
    if incident.state != "open":
        raise Refusal(409, "incident_resolved", f"Incident {incident.incident_id} is resolved.")
    if incident.acknowledged_at is None:
        changes.connection.execute(
            "UPDATE incident SET acknowledged_at = %s, acknowledged_by = %s WHERE incident_id = %s",
            [request.now, request.principal, incident.incident_id],
        )
        _append(changes, request, "incident.acknowledge", incident, {"acknowledged_by": request.principal})
    return _describe(changes, incident)


def _resolve(changes: Changes, request: AdminRequest, reason: str, *, false_alarm: bool) -> Kept:
    incident = _lock(changes, request)
    after: dict[str, Any] = {}
    if incident.state == "open":
        _end(changes, request, incident)
        after["state"] = "resolved"
    if false_alarm and not incident.false_alarm:
        query = "UPDATE incident SET false_alarm = true WHERE incident_id = %s"
        changes.connection.execute(query, [incident.incident_id])
        after["false_alarm"] = True
    if not after:
        marked = ", and marked as a false alarm" if false_alarm else ""
        raise Refusal(409, "incident_resolved", f"Incident {incident.incident_id} is resolved already{marked}.")
    _append(changes, request, "incident.resolve", incident, after, reason)
    return _describe(changes, incident)


def _describe(changes: Changes, incident: Incident) -> Kept:
    return Kept(200, describe_incident(_find(changes.connection, incident.incident_id)))


def _end(changes: Changes, request: AdminRequest, incident: Incident) -> None:
    changes.connection.execute(
        "UPDATE incident SET state = 'resolved', resolution = 'by_hand', resolved_at = %(now)s,"
        " changed_at = %(now)s, open_devices = 0, held = '' WHERE incident_id = %(id)s",
        {"now": request.now, "id": incident.incident_id},
    )
    changes.connection.execute(
        "UPDATE incident_device SET cleared_at = %s WHERE incident_id = %s AND cleared_at IS NULL",
        [request.now, incident.incident_id],
    )


def _find(connection: Connection, incident_id: str) -> Incident:
    row = None
    if "\0" not in incident_id:
        row = connection.execute(f"{_INCIDENT} WHERE incident_id = %s", [incident_id]).fetchone()
    if row is None:
        raise Refusal(404, "unknown_incident", f"There is no incident {incident_id[:64]!r}.")
    return _read(row[0])


def _ask_series(
    fleet_id: str, devices: Sequence[str], rule_id: str | None = None, metric: str | None = None
) -> dict[str, Any]:
    return {"fleet": fleet_id, "devices": devices, "rule": rule_id, "metric": metric, "most": MOST_SHOWN}


def _lock(changes: Changes, request: AdminRequest) -> Incident:
    """Find an incident while alert changes nothing of its fleet."""
    found = _find(changes.connection, request.path["incident"])
    AlertTables(changes.connection).lock_fleets([found.fleet_id])
    return _find(changes.connection, found.incident_id)


def _read(text: str) -> Incident:
    return msgspec.json.decode(text, type=Incident)


def _append(
    changes: Changes,
    request: AdminRequest,
    action: str,
    incident: Incident,
    after: Mapping[str, Any],
    reason: str | None = None,
) -> None:
    before = {name: getattr(incident, name) for name in after}
    audit(changes, request, action, f"incident/{incident.incident_id}", before, after, reason)
