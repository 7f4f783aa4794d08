"""Admins' requests about silences."""

from datetime import timedelta
from typing import Annotated, Any, LiteralString

import msgspec
from msgspec import Meta

from sluice.core.control.requests import AdminRequest, check_reason
from sluice.core.errors import Refusal
from sluice.core.query.parameters import Parameters
from sluice.core.times import write_time
from sluice.edge.control.incident_rows import SILENCES, audit, describe_silence
from sluice.edge.control.store import Changes, ControlStore, Kept

DEFAULT_LISTED, MOST_LISTED = 100, 1000
MOST_SILENCE = timedelta(days=30)


class WantedSilence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request to silence."""

    fleet_id: Annotated[str, Meta(max_length=64)]
    minutes: int
    rule_id: Annotated[str, Meta(max_length=64)] | None = None
    device_id: Annotated[str, Meta(max_length=128)] | None = None
    reason: str = ""


class Silences(msgspec.Struct, frozen=True):
    """What sends no messages for a while, as admins and operators decide."""

    store: ControlStore

    def list(self, request: AdminRequest) -> dict[str, Any]:
        """List the silences that hold, the last to end first."""
        given = Parameters(request.query, ["fleet_id", "ended", "limit"])
        fleet_id, ended = given.text("fleet_id", 64), given.choice("ended", ["true", "false"], "false") == "true"
        most = given.whole("limit", 1, MOST_LISTED, DEFAULT_LISTED)
        query: LiteralString = f"""{SILENCES}
            WHERE (%(fleet)s::text IS NULL OR fleet_id = %(fleet)s) AND (%(ended)s OR until > %(now)s)
            ORDER BY until DESC LIMIT %(most)s"""
        with self.store.reading() as rows:
            asked = {"fleet": fleet_id, "ended": ended, "now": request.now, "most": most}
            found = rows.connection.execute(query, asked).fetchall()
        return {"items": [describe_silence(row) for row in found], "next_cursor": None}

    def create(self, request: AdminRequest) -> dict[str, Any]:
        """Silence a fleet, a rule or a device for some minutes."""
        Parameters(request.query, known=())
        wanted = request.read(WantedSilence)
        reason = check_reason(wanted.reason)
        most = MOST_SILENCE // timedelta(minutes=1)
        if not 1 <= wanted.minutes <= most:
            raise Refusal(400, "invalid_body", f"A silence lasts 1 to {most} minutes: every silence has an end.")
        texts = [wanted.fleet_id, wanted.rule_id, wanted.device_id]
        if any(each is not None and (not each or "\0" in each) for each in texts):
            raise Refusal(400, "invalid_body", "A fleet, a rule and a device have a name.")
        with self.store.changing() as changes:
            return changes.change_once(request, lambda: _create(changes, request, wanted, reason)).body

    def end(self, request: AdminRequest) -> dict[str, Any]:
        """End a silence now."""
        Parameters(request.query, known=())
        reason = request.reason()
        digits = request.path["silence"]
        known = digits.isascii() and digits.isdecimal() and len(digits) < 10
        if not known:
            raise _refuse_unknown(digits)
        with self.store.changing() as changes:
            return changes.change_once(request, lambda: _end(changes, request, int(digits), reason)).body


def _create(changes: Changes, request: AdminRequest, wanted: WantedSilence, reason: str) -> Kept:
    until = request.now + timedelta(minutes=wanted.minutes)
    fleet = changes.fleet(wanted.fleet_id)
    row = changes.connection.execute(
        "INSERT INTO silence (fleet_id, rule_id, device_id, reason, principal, made_at, until)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)"
        " RETURNING silence_number, fleet_id, rule_id, device_id, until, reason, principal, made_at",
        [fleet.fleet_id, wanted.rule_id, wanted.device_id, reason, request.principal, request.now, until],
    ).fetchone()
    assert row is not None  # noqa: S101 - an insert returns its row
    made = describe_silence(row)
    audit(changes, request, "silence.create", f"silence/{made['silence']}", None, made, reason)
    return Kept(201, made)


def _end(changes: Changes, request: AdminRequest, number: int, reason: str) -> Kept:
    row = changes.connection.execute(f"{SILENCES} WHERE silence_number = %s", [number]).fetchone()
    if row is None:
        raise _refuse_unknown(str(number))
    if row[4] <= request.now:
        raise Refusal(409, "silence_ended", f"Silence {number} has ended already.")
    before = describe_silence(row)
    after = before | {"until": write_time(request.now)}
    changes.connection.execute(
        "UPDATE silence SET until = greatest(%s, made_at + interval '1 microsecond') WHERE silence_number = %s",
        [request.now, number],
    )
    audit(changes, request, "silence.end", f"silence/{number}", before, after, reason)
    return Kept(200, after)


def _refuse_unknown(given: str) -> Refusal:
    return Refusal(404, "unknown_silence", f"There is no silence {given[:64]!r}.")
