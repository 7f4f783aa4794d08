"""Settling an id that counts twice: the later sample is removed, its minute is computed again, and the ledger says so.

All of it happens in one transaction, and only if both samples are there. So it may run any number of times.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from psycopg import sql

from sluice.core.consumers import AGGREGATE, COUNTED, DUPLICATE
from sluice.core.limits import Limits
from sluice.core.matching.copies import Family, State, may_count_twice
from sluice.core.samples.events import Event, lookback
from sluice.edge.database import Connection, find_value
from sluice.edge.ledger.tallies import count_outcomes
from sluice.edge.matching.tables import MatchTables

# maintain raises the floor before it drops partitions below it: the lock keeps the floor in place while we write.
_FLOOR = "SELECT nullif(floor, '-infinity') FROM horizon WHERE store = 'sample' FOR SHARE"

SHORTLY_MS = 1000
"""How long an id waits for a lock. A swap may hold it for minutes; recount's batches take less than a second."""

_WAIT_SHORTLY = sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(SHORTLY_MS))

# A replay that chose the later event before we remove its sample must not put it back: its swap locks its row.
_REPLAYS = "SELECT replay_number FROM replay WHERE ended_at IS NULL ORDER BY replay_number FOR NO KEY UPDATE"

_ENTITY = "SELECT entity_key FROM entity WHERE fleet_id = %s AND device_id = %s"

# Neither a replay nor another copy may bring the later one back: a replay leaves out what was received after a moment.
# It is just before the later one's reception, and so kept for as long as that one's sample would be. What is there may
# be from the later one itself, and would let it in; or from the first one, and would be deleted too early.
_SETTLE = """
    INSERT INTO settled_event (entity_key, event_key, received_at)
    VALUES (
        %(entity_key)s, %(event_key)s,
        greatest(%(first_received)s, %(later_received)s - interval '1 microsecond')
    )
    ON CONFLICT (entity_key, event_key) DO UPDATE SET received_at = CASE
        WHEN settled_event.received_at <= %(first_received)s THEN excluded.received_at
        ELSE least(settled_event.received_at, excluded.received_at)
    END
"""
_COUNTS = """
    SELECT EXISTS (
        SELECT FROM sample
        WHERE entity_key = %(entity_key)s AND event_key = %(event_key)s AND effective_time = %(first)s
    )
"""


def _read(name: str) -> sql.SQL:
    text: Any = (Path(__file__).parent / "sql" / f"{name}.sql").read_text()
    return sql.SQL(text)


_REMOVE_LATER = _read("remove_later")


class Settled(msgspec.Struct):
    """What became of an id that counts twice."""

    removed: int = 0
    """Samples of later events."""
    kept: int = 0
    """Samples of later events that are too old to be changed, or whose first event's sample is too old to be seen."""


def settle(connection: Connection, family: Family, limits: Limits) -> Settled:
    """Settle an id's conflicts, and note that they are."""
    settled = Settled()
    states: dict[Any, State] = dict.fromkeys(family.members, "settled")
    states[family.first.member] = "first"
    first = family.first.event
    twice = [copy.event for copy in family.conflicts if may_count_twice(first, copy.event)]
    with connection.transaction():
        if twice:
            connection.execute(_WAIT_SHORTLY)
            connection.execute(_REPLAYS)
            floor = find_value(connection, _FLOOR)
            for later in twice:
                if later.late:
                    _keep_out(connection, first, later)
                elif floor is not None and min(first.effective_time, later.effective_time) < floor:
                    # aggregate recognized those that came soon after.
                    settled.kept += later.received_at - first.effective_time > lookback(limits)
                else:
                    settled.removed += _remove(connection, first, later)
        MatchTables(connection).settle(states)
    return settled


def _remove(connection: Connection, first: Event, later: Event) -> int:
    """Remove the later event's sample, if it counts beside the first one's; return the number of removed samples."""
    both = _describe(connection, first, later)
    if not connection.execute(_REMOVE_LATER, both).rowcount:
        return 0
    connection.execute(_SETTLE, both)
    moved = Counter({(later.group, COUNTED): -1, (later.group, DUPLICATE): 1})
    count_outcomes(connection, AGGREGATE.name, moved)
    return 1


def _keep_out(connection: Connection, first: Event, later: Event) -> None:
    """Keep a late event out of the replays that let late ones in, if the first one counts."""
    both = _describe(connection, first, later)
    if find_value(connection, _COUNTS, both):
        connection.execute(_SETTLE, both)


def _describe(connection: Connection, first: Event, later: Event) -> dict[str, Any]:
    return {
        "entity_key": find_value(connection, _ENTITY, [later.fleet_id, later.device_id]),
        "event_key": later.key.hex(),
        "first": first.effective_time,
        "later": later.effective_time,
        "first_received": first.received_at,
        "later_received": later.received_at,
    }
