"""The tables of incidents: a board is loaded from them, and stored into them with its messages, in one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

import msgspec

from sluice.core.alerts.board import Board, Cause, Member
from sluice.core.alerts.incidents import Incident
from sluice.core.alerts.limits import COOL_DOWN, HOUR, TOGETHER
from sluice.core.alerts.messages import StageAddress
from sluice.core.alerts.series import Series, SeriesKey, key_of
from sluice.core.alerts.silences import Silence
from sluice.core.alerts.steps import Step
from sluice.core.detect.verdicts import Verdict
from sluice.edge.database import Connection

if TYPE_CHECKING:
    from sluice.core.detect.series_rules import Severity


def read_sql(name: str) -> LiteralString:
    """Read a statement."""
    return (Path(__file__).parent / "sql" / f"{name}.sql").read_text()


_COLUMNS = Incident.__struct_fields__
_SERIES, _KEEP_SERIES, _OF_RULES, _OF_FLEET, _MEMBERS, _UNHEARD = map(
    read_sql, ("series", "keep_series", "incidents_of_rules", "incidents_of_fleet", "members", "unheard")
)
# A newer release may have columns that this one does not know: they keep their values.
_KEEP_INCIDENTS = (
    f"INSERT INTO incident ({', '.join(_COLUMNS)})"  # noqa: S608 - the struct's own fields
    f" SELECT {', '.join(_COLUMNS)} FROM jsonb_populate_recordset(NULL::incident, %s)"
    f" ON CONFLICT (incident_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[1:])}"
)
_KEEP_MEMBERS = """
    INSERT INTO incident_device (incident_id, device_id, joined_at, cleared_at)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[])
    ON CONFLICT (incident_id, device_id) DO UPDATE SET
        joined_at = excluded.joined_at, cleared_at = excluded.cleared_at
"""
_KEEP_MESSAGES = """
    INSERT INTO alert_message (incident_id, sequence, message, written_at)
    SELECT incident_id, sequence, message::jsonb, %s
    FROM unnest(%s::text[], %s::integer[], %s::text[]) AS given (incident_id, sequence, message)
"""
_KEEP_CAUSES = """
    INSERT INTO incident_event (incident_id, device_id, event_id, correlation_id, joined_at)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[])
    ON CONFLICT DO NOTHING
"""
_SILENCES = """
    SELECT silence_number, fleet_id, rule_id, device_id, until FROM silence WHERE fleet_id = ANY(%s) AND until > %s
"""
_TOLD = """
    SELECT fleet_id, severity, count(*) FROM incident
    WHERE fleet_id = ANY(%s) AND first_told_at > %s GROUP BY fleet_id, severity
"""


class AlertTables:
    """One connection, in a transaction for a board."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def lock_fleets(self, fleets: Iterable[str]) -> None:
        """Lock fleets until the transaction ends: devices on any partition may belong to one incident."""
        self._connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('alerts/' || fleet_id, 0))"
            " FROM (SELECT unnest(%s::text[]) AS fleet_id ORDER BY 1) AS sorted",
            [sorted({*fleets})],
        )

    def load_for(self, verdicts: Sequence[Verdict], now: datetime, sender: StageAddress) -> Board:
        """Load what some verdicts may change."""
        keys = sorted({key_of(verdict) for verdict in verdicts})
        given = _columns(keys)
        series = {
            SeriesKey(*key): msgspec.json.decode(state, type=Series)
            for *key, state in self._connection.execute(_SERIES, given)
        }
        times = [reading.at for verdict in verdicts for reading in verdict.readings]
        since = min(times, default=now) - COOL_DOWN - TOGETHER
        rules = sorted({(key.fleet_id, key.rule_id, key.metric) for key in keys})
        incidents = self._read_incidents(
            _OF_RULES,
            {
                "fleets": [each[0] for each in rules],
                "rules": [each[1] for each in rules],
                "metrics": [each[2] for each in rules],
                "since": since,
            },
        )
        fleets = sorted({key.fleet_id for key in keys})
        return self._board(fleets, now, sender, (), series, incidents, {key.device_id for key in keys})

    def load_fleet(self, fleet_id: str, now: datetime, sender: StageAddress, steps: Sequence[Step]) -> Board:
        """Load the incidents of a fleet that are open, or whose end no message has reported."""
        incidents = self._read_incidents(_OF_FLEET, {"fleet": fleet_id})
        return self._board([fleet_id], now, sender, steps, {}, incidents, set())

    def find_unheard(self, fleet_id: str, since: datetime) -> list[Member]:
        """Find devices of open incidents that were silent since a moment."""
        rows = self._connection.execute(_UNHEARD, {"fleet": fleet_id, "since": since})
        return [_member(row) for row in rows]

    def list_active(self) -> list[str]:
        """List the fleets with incidents that are open, or whose end no message has reported."""
        rows = self._connection.execute(
            "SELECT DISTINCT fleet_id FROM incident WHERE state = 'open' OR told = 'open' ORDER BY fleet_id"
        )
        return [fleet_id for (fleet_id,) in rows]

    def keep(self, board: Board, now: datetime) -> None:
        """Store what has changed, and the messages."""
        if board.changed_series:
            self._keep_series(board, now)
        if board.changed_incidents:
            changed = [board.incidents[each] for each in sorted(board.changed_incidents)]
            self._connection.execute(_KEEP_INCIDENTS, [msgspec.json.encode(changed).decode()])
        if board.changed_members:
            members = [board.members[place] for place in sorted(board.changed_members)]
            columns = [[getattr(each, name) for each in members] for name in Member.__struct_fields__]
            self._connection.execute(_KEEP_MEMBERS, columns)
        if board.causes:
            causes = [[getattr(each, name) for each in board.causes] for name in Cause.__struct_fields__]
            self._connection.execute(_KEEP_CAUSES, causes)
        if board.messages:
            self._connection.execute(
                _KEEP_MESSAGES,
                [
                    now,
                    [each.incident_id for each in board.messages],
                    [each.sequence for each in board.messages],
                    [msgspec.json.encode(each).decode() for each in board.messages],
                ],
            )

    def _keep_series(self, board: Board, now: datetime) -> None:
        keys = sorted(board.changed_series)
        states = [board.series[key] for key in keys]
        self._connection.execute(
            _KEEP_SERIES,
            _columns(keys)
            | {
                "states": [msgspec.json.encode(each).decode() for each in states],
                "breached": [key in board.breached for key in keys],
                "now": now,
            },
        )

    def _read_incidents(self, query: LiteralString, given: Mapping[str, Any]) -> list[Incident]:
        return [msgspec.json.decode(text, type=Incident) for (text,) in self._connection.execute(query, given)]

    def _board(
        self,
        fleets: list[str],
        now: datetime,
        sender: StageAddress,
        steps: Sequence[Step],
        series: Mapping[SeriesKey, Series],
        incidents: Sequence[Incident],
        devices: set[str],
    ) -> Board:
        silences = [Silence(*row) for row in self._connection.execute(_SILENCES, [fleets, now])]
        devices |= {each.device_id for each in silences if each.device_id is not None}
        members = self._connection.execute(
            _MEMBERS, {"incidents": [each.incident_id for each in incidents], "devices": sorted(devices)}
        )
        told: dict[tuple[str, Severity], int] = {
            (fleet_id, severity): count
            for fleet_id, severity, count in self._connection.execute(_TOLD, [fleets, now - HOUR])
        }
        return Board(
            now=now,
            sender=sender,
            steps=steps,
            series=series,
            incidents=incidents,
            members=[_member(row) for row in members],
            silences=silences,
            told_incidents=told,
        )


def _columns(keys: Sequence[SeriesKey]) -> dict[str, Any]:
    return {
        "fleets": [key.fleet_id for key in keys],
        "rules": [key.rule_id for key in keys],
        "metrics": [key.metric for key in keys],
        "devices": [key.device_id for key in keys],
    }


def _member(row: tuple[Any, ...]) -> Member:
    incident_id, device_id, joined_at, cleared_at = row
    return Member(incident_id=incident_id, device_id=device_id, joined_at=joined_at, cleared_at=cleared_at)
