"""Swapping a generation in: hour by hour and shard by shard, each in one transaction.

choose what counts of the generation -> remove what was there before and is not the same -> add what is new -> mark the
windows that changed

What came after the replay had begun stays. roll computes the marked windows as it computes any other.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from psycopg import sql

from sluice.core.limits import Limits
from sluice.core.replay.plan import HOUR, Plan
from sluice.core.samples.events import lookback
from sluice.edge.database import Connection, find_value
from sluice.edge.replay.tables import Replay

_TEMPORARY = """
    CREATE TEMPORARY TABLE IF NOT EXISTS wanted (
        entity_key bigint NOT NULL, event_key uuid NOT NULL, effective_time timestamptz NOT NULL,
        shard smallint NOT NULL, metric_keys smallint[] NOT NULL, readings double precision[] NOT NULL,
        PRIMARY KEY (entity_key, event_key)
    ) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE IF NOT EXISTS touched (
        entity_key bigint NOT NULL, effective_time timestamptz NOT NULL, shard smallint NOT NULL
    ) ON COMMIT DELETE ROWS
"""

# An invocation that its execution has outlived must not swap what is being dropped.
_SWAPS = "SELECT true FROM replay WHERE replay_number = %s AND state = 'swapping' FOR SHARE"

# maintain raises the floor before it drops partitions below it: the lock keeps the floor in place while we write.
_FLOOR = "SELECT nullif(floor, '-infinity') FROM horizon WHERE store = 'sample' FOR SHARE"

_SHARDS = """
    SELECT DISTINCT shard FROM entity
    WHERE (%(fleet)s::text IS NULL OR fleet_id = %(fleet)s) AND device_id IS NOT NULL
    ORDER BY shard
"""
_SWAPPED = "SELECT hour, shard FROM replay_swap WHERE replay_number = %s"


def _read(name: str) -> sql.SQL:
    text: Any = (Path(__file__).parent / "sql" / f"{name}.sql").read_text()
    return sql.SQL(text)


_CHOOSE, _REMOVE, _ADD, _MARK, _RECORD = map(_read, ("choose", "remove", "add", "mark", "record"))


class Unit(msgspec.Struct, frozen=True):
    """What one transaction swaps."""

    hour: datetime
    shard: int


class Swapping(msgspec.Struct, frozen=True):
    """The swap of one replay, over one connection."""

    connection: Connection
    limits: Limits

    def list_units(self, replay: Replay) -> list[Unit]:
        """List the units that are still to be swapped."""
        shards = [shard for (shard,) in self.connection.execute(_SHARDS, {"fleet": replay.plan.fleet_id})]
        swapped = {
            Unit(hour, shard) for hour, shard in self.connection.execute(_SWAPPED, [replay.replay_number]).fetchall()
        }
        return [unit for unit in _units(replay.plan, shards) if unit not in swapped]

    def swap(self, replay: Replay, may_go_on: Callable[[], bool]) -> int:
        """Swap unit by unit while time is left; return how many are left."""
        self.connection.execute(_TEMPORARY)
        # Each statement is planned for its hour and shard: a plan for any of them reads whole partitions.
        self.connection.prepare_threshold = None
        units = self.list_units(replay)
        for done, unit in enumerate(units):
            if not may_go_on() or not self._swap(replay, unit):
                return len(units) - done
        return 0

    def _swap(self, replay: Replay, unit: Unit) -> bool:
        """Swap a unit; return False if the replay is over."""
        plan = replay.plan
        since, until = unit.hour, unit.hour + HOUR
        parameters: dict[str, Any] = {
            "number": replay.replay_number,
            "fleet": plan.fleet_id,
            "devices": None if plan.device_ids is None else [*plan.device_ids],
            "shard": unit.shard,
            "since": since,
            "until": until,
            "hours_from": plan.hours_from,
            "hours_to": plan.hours_to,
            # A copy of the same event may have counted under another time, this far away.
            "nearby": lookback(self.limits),
            "include_late": plan.include_late,
            "reprocess": plan.reprocess,
        }
        with self.connection.transaction():
            if not find_value(self.connection, _SWAPS, [replay.replay_number]):
                return False
            self.connection.execute("SELECT ensure_partition('sample', %s)", [since])
            floor = find_value(self.connection, _FLOOR)
            done = {"hour": since, "removed": 0, "added": 0, "windows": 0, "expired": True}
            if floor is not None and since < floor:
                # Its samples have expired meanwhile: no window may be computed from what is left of an hour.
                self.connection.execute(_RECORD, parameters | done)
                return True
            self.connection.execute(_CHOOSE, parameters)
            removed = self.connection.execute(_REMOVE, parameters).rowcount
            added = self.connection.execute(_ADD, parameters).rowcount
            windows = self.connection.execute(_MARK, parameters).rowcount
            done |= {"removed": removed, "added": added, "windows": windows, "expired": False}
            self.connection.execute(_RECORD, parameters | done)
        return True


def _units(plan: Plan, shards: list[int]) -> Iterator[Unit]:
    hour: datetime = plan.hours_from
    while hour < plan.hours_to:
        yield from (Unit(hour, shard) for shard in shards)
        hour += timedelta(hours=1)
