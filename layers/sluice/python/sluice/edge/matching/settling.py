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
from sluice.core.matching.copies import Family, State, counts_twice
from sluice.core.samples.events import Event, lookback
from sluice.edge.database import Connection, find_value
from sluice.edge.ledger.tallies import count_outcomes
from sluice.edge.matching.tables import MatchTables

# maintain raises the floor before it drops partitions below it: the lock keeps the floor in place while we write.
_FLOOR = "SELECT nullif(floor, '-infinity') FROM horizon WHERE store = 'sample' FOR SHARE"

# A replay that chose the later event before we remove its sample must not put it back: its swap locks its row.
_REPLAYS = "SELECT replay_number FROM replay WHERE ended_at IS NULL ORDER BY replay_number FOR NO KEY UPDATE"

_ENTITY = "SELECT entity_key FROM entity WHERE fleet_id = %s AND device_id = %s"

# Neither a replay nor another copy may bring the later one back. One that is there already does so too.
_SETTLE = """
    INSERT INTO settled_event (entity_key, event_key, received_at)
    VALUES (%(entity_key)s, %(event_key)s, %(received_at)s)
    ON CONFLICT DO NOTHING
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
    twice = [copy.event for copy in family.conflicts if counts_twice(first, copy.event)]
    with connection.transaction():
        if twice:
            connection.execute(_REPLAYS)
            floor = find_value(connection, _FLOOR)
            for later in twice:
                if floor is not None and min(first.effective_time, later.effective_time) < floor:
                    # aggregate recognized those that came soon after.
                    settled.kept += later.received_at - first.effective_time > lookback(limits)
                else:
                    settled.removed += _remove(connection, first, later)
        MatchTables(connection).settle(states)
    return settled


def _remove(connection: Connection, first: Event, later: Event) -> int:
    """Remove the later event's sample, if it counts beside the first one's; return the number of removed samples."""
    who = {
        "entity_key": find_value(connection, _ENTITY, [later.fleet_id, later.device_id]),
        "event_key": later.key.hex(),
    }
    times = {"first": first.effective_time, "later": later.effective_time}
    if not connection.execute(_REMOVE_LATER, who | times).rowcount:
        return 0
    connection.execute(_SETTLE, who | {"received_at": first.received_at})
    moved = Counter({(later.group, COUNTED): -1, (later.group, DUPLICATE): 1})
    count_outcomes(connection, AGGREGATE.name, moved)
    return 1
