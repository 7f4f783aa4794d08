"""Admins' requests about replays: the function replay plans and checks, and the state machine does the work."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from sluice.core.control.requests import AdminRequest
from sluice.core.errors import Refusal
from sluice.core.query.parameters import Parameters
from sluice.core.times import write_optional
from sluice.edge.control.asking import ask_function
from sluice.edge.control.store import ControlStore
from sluice.edge.database import Connection
from sluice.edge.invoked import InvokedFunction

MOST_LISTED = 100

_ROWS = """
    SELECT
        replay_number, plan, state, principal, execution, chunks, counts, begun_at, reason, claimed_at, ended_at,
        cardinality(ARRAY(SELECT chunk FROM replay_chunk AS c WHERE c.replay_number = replay.replay_number)) AS sent,
        cardinality(ARRAY(SELECT hour FROM replay_swap AS s WHERE s.replay_number = replay.replay_number)) AS swapped
    FROM replay
"""
_CANCEL = """
    UPDATE replay SET state = 'cancelling', reason = %s
    WHERE replay_number = %s AND state IN ('gathering', 'resending', 'draining')
"""
OVER = ("done", "cancelled", "failed")


class PlanToApply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request to apply a plan."""

    plan: dict[str, Any]


class Replays(msgspec.Struct, frozen=True):
    """What admins ask of replays."""

    store: ControlStore
    function: InvokedFunction
    start: Callable[[str, str], str]
    """Starts an execution under a name, with an input."""

    def plan(self, request: AdminRequest) -> dict[str, Any]:
        """Make a plan. Nothing is replayed by it."""
        Parameters(request.query, known=())
        # The function reads it strictly.
        return ask_function(self.function, {"step": "plan", "wanted": request.read(dict[str, Any])})

    def apply(self, request: AdminRequest) -> dict[str, Any]:
        """Start the state machine with a plan, unless the machine would refuse it."""
        Parameters(request.query, known=())
        plan = request.read(PlanToApply).plan
        checked = ask_function(self.function, {"step": "check", "plan": plan})
        replay_id = str(checked["replay_id"])
        with self.store.changing() as changes:
            after = {"plan_hash": plan["hash"], "fleet_id": plan["fleet_id"], "hours": plan["hours"]}
            changes.append([request.act("replay.apply", f"replay/{replay_id}", None, after)])
        name = f"{replay_id}-{int(request.now.timestamp() * 1000)}"
        given = {"plan": plan, "principal": request.principal, "correlation_id": request.correlation_id}
        execution = self.start(name, msgspec.json.encode(given).decode())
        return {"replay_id": replay_id, "already_applied": checked["applied"], "execution": execution}

    def list(self) -> dict[str, Any]:
        """List the latest replays, the newest first."""
        with self.store.reading() as rows:
            query = f"{_ROWS} ORDER BY replay_number DESC LIMIT %s"
            items = [_describe(row) for row in rows.connection.execute(query, [MOST_LISTED]).fetchall()]
        return {"items": items, "next_cursor": None}

    def show(self, request: AdminRequest) -> dict[str, Any]:
        """Show a replay and how far it is."""
        with self.store.reading() as rows:
            return _describe(self._find(rows.connection, request.path["replay"]), whole=True)

    def cancel(self, request: AdminRequest) -> dict[str, Any]:
        """Ask a replay to end before its swap; its next step does."""
        Parameters(request.query, known=())
        reason = request.reason()
        with self.store.changing() as changes:
            row = self._find(changes.connection, request.path["replay"])
            found = _describe(row)
            if found["state"] in OVER:
                raise Refusal(409, "replay_ended", f"{found['replay_id']} has ended already: it is {found['state']}.")
            if found["state"] != "cancelling":
                if not changes.connection.execute(_CANCEL, [reason, row[0]]).rowcount:
                    detail = f"{found['replay_id']} is {found['state']}: a swap that has begun is finished."
                    raise Refusal(409, "too_late_to_cancel", detail)
                target = f"replay/{found['replay_id']}"
                changes.append([request.act("replay.cancel", target, None, {"state": "cancelling"}, reason)])
        return found | {"state": "cancelling", "reason": reason}

    def _find(self, connection: Connection, name: str) -> tuple[Any, ...]:
        """Find the latest replay of a name."""
        digits = name.removeprefix("replay-")
        query = f"{_ROWS} WHERE left(plan_hash, 16) = %s ORDER BY replay_number DESC LIMIT 1"
        row = connection.execute(query, [digits]).fetchone() if digits.isalnum() else None
        if row is None:
            raise Refusal(404, "unknown_replay", f"There is no replay {name[:64]!r}.")
        return row


def _describe(row: tuple[Any, ...], *, whole: bool = False) -> dict[str, Any]:
    _, plan, state, principal, execution, chunks, counts, begun_at, reason, claimed_at, ended_at, sent, swapped = row
    described = {
        "replay_id": f"replay-{plan['hash'][:16]}",
        "state": state,
        "fleet_id": plan["fleet_id"],
        "from": plan["hours"]["from"],
        "to": plan["hours"]["to"],
        "claimed_at": write_optional(claimed_at),
        "ended_at": write_optional(ended_at),
        "reason": reason,
    }
    if whole:
        described |= {
            "principal": principal,
            "execution": execution,
            # The rows that these count are deleted when the replay ends.
            "chunks": {"sent": counts.get("chunks", sent), "all": chunks},
            "units": {"swapped": counts.get("units") if state == "done" else swapped, "all": counts.get("units")},
            "counts": counts,
            "begun_at": {name: _read_time(text) for name, text in begun_at.items()},
            "plan": plan,
        }
    return described


def _read_time(text: str) -> str | None:
    return write_optional(datetime.fromisoformat(text))
