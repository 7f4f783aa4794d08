"""Admins' requests about dead letters: the function redrive answers questions, and does what is begun here."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from psycopg.types.json import Jsonb

from sluice.core.control.fleets import check_active
from sluice.core.control.requests import AdminRequest, check_reason
from sluice.core.errors import Refusal
from sluice.core.ledger.groups import INGEST
from sluice.core.query.parameters import Parameters
from sluice.core.times import write_optional, write_time
from sluice.edge.control.asking import ask_function
from sluice.edge.control.store import ControlStore
from sluice.edge.database import Connection
from sluice.edge.invoked import InvokedFunction

OVER = ("done", "cancelled", "failed")
LETTER_STATES = ("sending", "accepted", "accounted", "rejected", "incomplete")
MOST_LISTED = 100
DEFAULT_RANGE = timedelta(days=1)

_ROWS = """
    SELECT
        redrive_number, group_id, fleet_id, fix, since, until, state, principal, reason, counts, trouble, claimed_at,
        sent_at, ended_at, consumer
    FROM redrive
"""


class WantedRedrive(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """The body of a request to re-drive a group."""

    group_id: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
    since: datetime
    until: datetime
    fix: list[dict[str, Any]] = []
    """The function reads it strictly."""
    reason: str = ""


class Redrives(msgspec.Struct, frozen=True):
    """What admins ask of dead letters."""

    store: ControlStore
    function: InvokedFunction

    def groups(self, request: AdminRequest) -> dict[str, Any]:
        """List the groups of a time range."""
        given = Parameters(request.query, ["from", "to", "fleet_id", "limit"])
        fleet_id = given.text("fleet_id", 64)
        return self._ask("groups", _range(given, request) | ({"fleet_id": fleet_id} if fleet_id else {}))

    def explain(self, request: AdminRequest) -> dict[str, Any]:
        """Explain a letter."""
        given = Parameters(request.query, ["from", "to"])
        return self._ask("explain", _range(given, request) | {"letter_id": request.path["letter"]})

    def propose(self, request: AdminRequest) -> dict[str, Any]:
        """Propose a fix for a group."""
        given = Parameters(request.query, ["from", "to"])
        return self._ask("propose", _range(given, request) | {"group_id": request.path["group"]})

    def begin(self, request: AdminRequest) -> tuple[int, dict[str, Any]]:
        """Begin a re-drive, or say what it would do."""
        wanted = request.read(WantedRedrive)
        reason = check_reason(wanted.reason)
        question = {
            "from": wanted.since,
            "to": wanted.until,
            "group_id": wanted.group_id,
            "fix": wanted.fix,
        }
        measured = self._ask("measure", question)
        if request.is_dry_run():
            return 200, {"dry_run": True, "group_id": wanted.group_id, **measured}
        fleet_id = measured["fleet_id"]
        with self.store.changing() as changes:
            check_active(changes.fleet(fleet_id))
            row = changes.connection.execute(
                "INSERT INTO redrive"
                " (group_id, fleet_id, fix, since, until, principal, reason, correlation_id, consumer)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (group_id) WHERE state IN ('sending', 'draining') DO NOTHING RETURNING redrive_number",
                [
                    wanted.group_id,
                    fleet_id,
                    Jsonb(wanted.fix),
                    wanted.since,
                    min(wanted.until, request.now),
                    request.principal,
                    reason,
                    request.correlation_id,
                    # An earlier release of redrive takes up letters of ingest only, and does not say so.
                    measured.get("consumer", INGEST),
                ],
            ).fetchone()
            if row is None:
                detail = f"A re-drive of group {wanted.group_id} is not over yet. Wait for its end, or cancel it."
                raise Refusal(409, "redrive_active", detail)
            begun = _describe(self._find(changes.connection, f"redrive-{row[0]}"))
            after = {name: begun[name] for name in ("group_id", "fleet_id", "consumer", "from", "to", "fix")}
            changes.append([request.act("redrive.apply", f"redrive/{begun['redrive_id']}", None, after, reason)])
        return 202, begun

    def list(self) -> dict[str, Any]:
        """List the latest re-drives, the newest first."""
        with self.store.reading() as rows:
            query = f"{_ROWS} ORDER BY redrive_number DESC LIMIT %s"
            items = [_describe(row) for row in rows.connection.execute(query, [MOST_LISTED]).fetchall()]
        return {"items": items, "next_cursor": None}

    def show(self, request: AdminRequest) -> dict[str, Any]:
        """Show a re-drive and how far it is."""
        with self.store.reading() as rows:
            row = self._find(rows.connection, request.path["redrive"])
            return _describe(row) | {"letters": count_letters(rows.connection, row[0])}

    def cancel(self, request: AdminRequest) -> dict[str, Any]:
        """End a re-drive where it is: what it has sent stays."""
        Parameters(request.query, known=())
        reason = request.reason()
        with self.store.changing() as changes:
            row = self._find(changes.connection, request.path["redrive"])
            found = _describe(row)
            if found["state"] in OVER:
                raise Refusal(409, "redrive_ended", f"{found['redrive_id']} has ended already: it is {found['state']}.")
            changes.connection.execute(
                "UPDATE redrive SET state = 'cancelled', ended_at = clock_timestamp()"
                " WHERE redrive_number = %s AND state <> ALL(%s)",
                [row[0], [*OVER]],
            )
            target = f"redrive/{found['redrive_id']}"
            changes.append([request.act("redrive.cancel", target, None, {"state": "cancelled"}, reason)])
            return _describe(self._find(changes.connection, request.path["redrive"]))

    def _find(self, connection: Connection, name: str) -> tuple[Any, ...]:
        digits = name.removeprefix("redrive-")
        # The column's type bounds the number.
        query = f"{_ROWS} WHERE redrive_number = %s"
        known = digits.isascii() and digits.isdecimal() and len(digits) < 10
        row = connection.execute(query, [int(digits)]).fetchone() if known else None
        if row is None:
            raise Refusal(404, "unknown_redrive", f"There is no re-drive {name[:64]!r}.")
        return row

    def _ask(self, step: str, question: Mapping[str, Any]) -> dict[str, Any]:
        return ask_function(self.function, {"step": step, "asked": question})


def count_letters(connection: Connection, redrive_number: int) -> dict[str, int]:
    """Count the letters of a re-drive by their state; exhausted ones are among the rejected."""
    counts: dict[str, int] = dict(
        connection.execute(
            "SELECT state, count(*) FROM redrive_letter WHERE redrive_number = %s GROUP BY state", [redrive_number]
        ).fetchall()
    )
    return {state: counts.get(state, 0) for state in LETTER_STATES}


def _range(given: Parameters, request: AdminRequest) -> dict[str, Any]:
    """Read a time range of the query string: without one, the last day."""
    until = given.moment("to", request.now)
    return {"from": given.moment("from", until - DEFAULT_RANGE), "to": until}


def _describe(row: tuple[Any, ...]) -> dict[str, Any]:
    number, group_id, fleet_id, fix, since, until, state, principal, reason, counts, trouble, *times, consumer = row
    claimed_at, sent_at, ended_at = map(write_optional, times)
    return {
        "redrive_id": f"redrive-{number}",
        "group_id": group_id,
        "fleet_id": fleet_id,
        "consumer": consumer,
        "state": state,
        "fix": fix,
        "from": write_time(since),
        "to": write_time(until),
        "principal": principal,
        "reason": reason,
        "objects": counts.get("objects", 0),
        "unreadable": counts.get("unreadable", 0),
        "passed_over": counts.get("passed_over", 0),
        "trouble": trouble,
        "claimed_at": claimed_at,
        "sent_at": sent_at,
        "ended_at": ended_at,
    }
