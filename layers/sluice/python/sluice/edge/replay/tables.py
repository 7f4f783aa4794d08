"""The tables of replays: one row for each, which its steps move from state to state."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, LiteralString

import msgspec
from psycopg.types.json import Jsonb
from psycopg.types.range import TimestamptzRange

from sluice.core.control.audit import Act
from sluice.core.ledger.holes import subtract
from sluice.core.replay.plan import Plan, PlanRefusedError, describe
from sluice.edge.control.store import Changes, lock_audit
from sluice.edge.database import Connection, find_value

ACTIVE = ("gathering", "resending", "draining", "swapping", "verifying", "cancelling")
"""The states in which a replay is not over."""
BEFORE_SWAP = ("gathering", "resending", "draining")
"""The states in which a cancelled replay leaves everything as it was."""

# Two claims at once must not both find that nothing overlaps. The number is arbitrary, but unique to this lock.
_LOCK = 5_170_004

_REPLAYS = "SELECT replay_number, plan, state, execution, principal, chunks, counts, reason, claimed_at FROM replay"
_ENDS: Mapping[str, tuple[LiteralString, LiteralString]] = {
    "raw": (
        "SELECT raw_ends FROM replay WHERE replay_number = %s",
        "UPDATE replay SET raw_ends = %s WHERE replay_number = %s AND raw_ends IS NULL",
    ),
    "starts": (
        "SELECT replay_starts FROM replay WHERE replay_number = %s",
        "UPDATE replay SET replay_starts = %s WHERE replay_number = %s AND replay_starts IS NULL",
    ),
    "replay": (
        "SELECT replay_ends FROM replay WHERE replay_number = %s",
        "UPDATE replay SET replay_ends = %s WHERE replay_number = %s AND replay_ends IS NULL",
    ),
}


def find_floor(connection: Connection) -> datetime | None:
    """Find from when on samples are kept; None: all of them."""
    floor: datetime | None = find_value(
        connection, "SELECT nullif(floor, '-infinity') FROM horizon WHERE store = 'sample'"
    )
    return floor


class Replay(msgspec.Struct, frozen=True):
    """One replay, as its row has it."""

    replay_number: int
    plan: Plan
    state: str
    execution: str
    principal: str
    chunks: int | None
    counts: Mapping[str, Any]
    reason: str | None
    claimed_at: datetime


class ReplayTables:
    """One connection, for one step."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def find(self, replay_number: int) -> Replay:
        """Read a replay."""
        (row,) = self.connection.execute(f"{_REPLAYS} WHERE replay_number = %s", [replay_number]).fetchall()
        return _read(row)

    def list_active(self) -> list[Replay]:
        """List the replays that are not over."""
        rows = self.connection.execute(f"{_REPLAYS} WHERE state = ANY(%s) ORDER BY replay_number", [[*ACTIVE]])
        return [_read(row) for row in rows.fetchall()]

    def find_claim(self, plan: Plan) -> Replay | None:
        """Find the replay that has taken a plan, unless it was cancelled or failed."""
        row = self.connection.execute(
            f"{_REPLAYS} WHERE plan_hash = %s AND state NOT IN ('cancelled', 'failed')", [plan.hash]
        ).fetchone()
        return None if row is None else _read(row)

    def lock_claims(self) -> None:
        """Wait for other claims, until the transaction ends."""
        self.connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])

    def check_overlap(self, plan: Plan) -> None:
        """Refuse a plan while another replay changes the same hours of the fleet, or has changed them since."""
        row = self.connection.execute(
            "SELECT plan_hash, state FROM replay"
            " WHERE (fleet_id = %(fleet)s OR fleet_id IS NULL OR %(fleet)s::text IS NULL)"
            " AND hours && %(hours)s AND plan_hash <> %(hash)s"
            " AND (state = ANY(%(active)s) OR (state = 'done' AND ended_at > %(made_at)s)) LIMIT 1",
            {
                "fleet": plan.fleet_id,
                "hours": _hours(plan),
                "hash": plan.hash,
                "active": [*ACTIVE],
                "made_at": datetime.fromisoformat(plan.made_at),
            },
        ).fetchone()
        if row is None:
            return
        name = f"replay-{row[0][:16]}"
        if row[1] == "done":
            detail = f"{name} has changed hours of this plan since it was made. Make a new plan."
            raise PlanRefusedError("plan_outdated", detail)
        detail = f"{name} is {row[1]} and covers some of the same hours. Wait for its end, or cancel it."
        raise PlanRefusedError("replay_overlaps", detail)

    def claim(self, plan: Plan, execution: str, principal: str) -> int:
        """Begin a replay, and make room for its generation."""
        (number,) = self.connection.execute(
            "INSERT INTO replay (plan_hash, plan, fleet_id, hours, state, execution, principal, begun_at)"
            " VALUES (%s, %s, %s, %s, 'gathering', %s, %s, jsonb_build_object('gathering', clock_timestamp()))"
            " RETURNING replay_number",
            [plan.hash, Jsonb(describe(plan)), plan.fleet_id, _hours(plan), execution, principal],
        ).fetchone() or (0,)
        self.connection.execute("SELECT open_generation(%s)", [number])
        return int(number)

    def adopt(self, replay_number: int, execution: str) -> None:
        """Let another execution finish a replay whose own has ended."""
        self.connection.execute("UPDATE replay SET execution = %s WHERE replay_number = %s", [execution, replay_number])

    def move(self, replay_number: int, before: Sequence[str], state: str) -> bool:
        """Move a replay to its next state; return False if it is in another one than expected."""
        moved = self.connection.execute(
            "UPDATE replay SET state = %s, begun_at = begun_at || jsonb_build_object(%s::text, clock_timestamp())"
            " WHERE replay_number = %s AND state = ANY(%s)",
            [state, state, replay_number, [*before]],
        )
        return bool(moved.rowcount)

    def end(
        self,
        replay_number: int,
        before: Sequence[str],
        state: str,
        reason: str | None = None,
        execution: str | None = None,
    ) -> bool:
        """End a replay, and drop its generation; or only if it still is of an execution."""
        ended = self.connection.execute(
            "UPDATE replay SET state = %s, reason = coalesce(%s, reason), ended_at = clock_timestamp(),"
            " begun_at = begun_at || jsonb_build_object(%s::text, clock_timestamp())"
            " WHERE replay_number = %s AND state = ANY(%s) AND execution = coalesce(%s, execution)",
            [state, reason, state, replay_number, [*before], execution],
        )
        if ended.rowcount:
            self.connection.execute("DELETE FROM replay_chunk WHERE replay_number = %s", [replay_number])
            self.connection.execute("DELETE FROM replay_swap WHERE replay_number = %s", [replay_number])
            self.connection.execute("DELETE FROM replay_slice WHERE replay_number = %s", [replay_number])
            self.connection.execute("DELETE FROM replay_unread WHERE replay_number = %s", [replay_number])
            self.connection.execute("SELECT drop_generation(%s)", [replay_number])
        return bool(ended.rowcount)

    def note(self, replay_number: int, **counts: object) -> None:
        """Add to what is known of a replay."""
        self.connection.execute(
            "UPDATE replay SET counts = counts || %s WHERE replay_number = %s", [Jsonb(counts), replay_number]
        )

    def set_chunks(self, replay_number: int, chunks: int) -> None:
        """Note how many chunks there are."""
        self.connection.execute("UPDATE replay SET chunks = %s WHERE replay_number = %s", [chunks, replay_number])

    def sent(self, replay_number: int) -> tuple[int, int]:
        """Return how many chunks were sent, and how many events these had."""
        row = self.connection.execute(
            "SELECT count(*), coalesce(sum(events), 0)::bigint FROM replay_chunk WHERE replay_number = %s",
            [replay_number],
        ).fetchone()
        return (0, 0) if row is None else (row[0], row[1])

    def count_unread(self, replay_number: int) -> tuple[int, int]:
        """Return how many records recount could not read, and how many of them a newer release can."""
        row = self.connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE ahead) FROM replay_unread WHERE replay_number = %s",
            [replay_number],
        ).fetchone()
        return (0, 0) if row is None else (row[0], row[1])

    def find_trouble(self, replay_number: int) -> str | None:
        """Return why a chunk can never be sent, if there is one."""
        query = "SELECT min(trouble) FROM replay_chunk WHERE replay_number = %s"
        trouble: str | None = find_value(self.connection, query, [replay_number])
        return trouble

    def all_reach_back(self, replay_number: int) -> bool:
        """Return whether every chunk was sent by a release that reads what was received before the hours."""
        query = "SELECT bool_and(reaches_back) FROM replay_chunk WHERE replay_number = %s"
        every: bool | None = find_value(self.connection, query, [replay_number])
        return every is not False

    def ends(self, replay_number: int, name: str) -> dict[int, int] | None:
        """Read the offsets up to which a topic must be read."""
        found = find_value(self.connection, _ENDS[name][0], [replay_number])
        return None if found is None else {int(partition): end for partition, end in found.items()}

    def set_ends(self, replay_number: int, name: str, ends: Mapping[int, int]) -> None:
        """Note the offsets up to which a topic must be read, unless they are known."""
        self.connection.execute(_ENDS[name][1], [Jsonb(ends), replay_number])

    def count_ahead(self, consumer: str, topic: str, ends: Mapping[int, int]) -> int:
        """Count the records before some offsets that a consumer has not come to yet."""
        fronts: dict[int, int] = dict(
            self.connection.execute(
                "SELECT partition, coalesce(upper(offsets), 0) FROM coverage WHERE consumer = %s AND topic = %s",
                [consumer, topic],
            ).fetchall()
        )
        return sum(max(0, end - fronts.get(partition, 0)) for partition, end in ends.items())

    def begin_anew(self, consumer: str, topic: str, lasts: Mapping[int, int]) -> None:
        """Put coverage aside that reaches beyond a topic's end: the topic was recreated."""
        self.connection.execute(
            "SELECT put_coverage_aside(consumer, topic, partition, clock_timestamp()) FROM coverage"
            " JOIN unnest(%s::integer[], %s::bigint[]) AS ends (partition, last) USING (partition)"
            " WHERE consumer = %s AND topic = %s AND upper(offsets) > last",
            [[*lasts], [*lasts.values()], consumer, topic],
        )

    def was_applied_by(self, plan: Plan, principal: str, correlation_id: str) -> bool:
        """Return whether the audit has it that someone applied a plan; an execution's input alone proves nothing."""
        query = (
            "SELECT true FROM (SELECT entry::jsonb AS entry FROM audit ORDER BY number DESC LIMIT 1000) AS latest"
            " WHERE entry ->> 'action' = 'replay.apply' AND entry ->> 'target' = %s"
            " AND entry ->> 'principal' = %s AND entry ->> 'correlation_id' = %s LIMIT 1"
        )
        return bool(find_value(self.connection, query, [f"replay/{plan.replay_id}", principal, correlation_id]))

    def count_uncovered(self, consumer: str, topic: str, firsts: Mapping[int, int], ends: Mapping[int, int]) -> int:
        """Count the records between some offsets that a consumer does not account for."""
        covered = {
            partition: [(one.lower, one.upper) for one in offsets]
            for partition, offsets in self.connection.execute(
                "SELECT partition, offsets FROM coverage WHERE consumer = %s AND topic = %s", [consumer, topic]
            )
        }
        return sum(
            upper - lower
            for partition, end in ends.items()
            for lower, upper in subtract((firsts.get(partition, 0), end), covered.get(partition, ()))
        )

    def audit(self, acts: Sequence[Act]) -> None:
        """Write audit entries, in the transaction of what they tell of."""
        lock_audit(self.connection)
        Changes(self.connection).append(acts)


def _hours(plan: Plan) -> TimestamptzRange:
    return TimestamptzRange(plan.hours_from.astimezone(UTC), plan.hours_to.astimezone(UTC))


def _read(row: Sequence[Any]) -> Replay:
    number, plan, *others = row
    return Replay(number, msgspec.convert(plan, Plan), *others)
