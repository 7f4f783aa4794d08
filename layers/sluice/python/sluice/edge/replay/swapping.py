"""Swapping a generation in: hour by hour and shard by shard, each in one transaction.

choose what counts of the generation -> remove what was there before and is not the same -> add what is new -> mark the
windows that changed

What came after the replay had begun stays. roll computes the marked windows as it computes any other. Of an hour whose
samples have expired, the windows themselves are computed and replaced (recomputing.py).
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from sluice.core.limits import Limits
from sluice.core.replay.plan import HOUR, Plan
from sluice.core.samples.events import lookback
from sluice.edge.database import Connection, find_value
from sluice.edge.replay.recomputing import PARTS, SHARDS, Recomputing, prepare_place
from sluice.edge.replay.statements import OF_SHARD, read_statement
from sluice.edge.replay.tables import Replay, find_floor

_TEMPORARY = """
    CREATE TEMPORARY TABLE IF NOT EXISTS wanted (
        entity_key bigint NOT NULL, event_key uuid NOT NULL, effective_time timestamptz NOT NULL,
        shard smallint NOT NULL, metric_keys smallint[] NOT NULL, readings double precision[] NOT NULL,
        PRIMARY KEY (entity_key, event_key)
    ) ON COMMIT DELETE ROWS;
    CREATE INDEX IF NOT EXISTS wanted_by_shard ON wanted (shard, effective_time);
    CREATE TEMPORARY TABLE IF NOT EXISTS touched (
        entity_key bigint NOT NULL, effective_time timestamptz NOT NULL, shard smallint NOT NULL
    ) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE IF NOT EXISTS noted_later (
        fleet_id text NOT NULL, entity_key bigint, resolution text NOT NULL, window_start timestamptz NOT NULL
    ) ON COMMIT DELETE ROWS
"""

# An invocation that its execution has outlived must not swap what is being dropped.
_SWAPS = "SELECT true FROM replay WHERE replay_number = %s AND state = 'swapping' FOR SHARE"

# maintain raises the floor before it drops partitions below it: the lock keeps the floor in place while we write.
# An hour below it stays below it, and needs no lock.
_FLOOR = "SELECT nullif(floor, '-infinity') FROM horizon WHERE store = 'sample' FOR SHARE"

# Of devices a shard is one unit. Of fleets it is several, under numbers of their own.
_SHARDS = """
    SELECT DISTINCT shard + part * 64
    FROM entity CROSS JOIN generate_series(0, %(parts)s) AS part
    WHERE (%(fleet)s::text IS NULL OR fleet_id = %(fleet)s)
        AND CASE WHEN device_id IS NULL THEN part > 0 AND %(reprocess)s ELSE part = 0 END
    ORDER BY 1
"""
_SWAPPED = "SELECT hour, shard FROM replay_swap WHERE replay_number = %s"

# Units whose minutes were replaced in the database and have left it: tier of a release that does not know such replays
# has moved them. All of such an hour is computed again, into files.
_FORGET_MOVED = """
    DELETE FROM replay_swap
    WHERE replay_number = %s AND recomputed AND NOT in_files
        AND hour < (SELECT floor FROM horizon WHERE store = 'rollup_1m')
"""

_CHOOSE, _REMOVE, _ADD, _MARK, _RECORD = map(read_statement, ("choose", "remove", "add", "mark", "record"))


class Unit(msgspec.Struct, frozen=True):
    """What one transaction swaps: the devices of a shard; or after them a part of the hour of its fleets."""

    hour: datetime
    number: int
    """The shard, and 64 for each part up to this one of fleets."""

    @property
    def shard(self) -> int:
        """Return the shard."""
        return self.number % SHARDS

    @property
    def part(self) -> int:
        """Return which part of the hour it is, from 1 on; 0: all of it, of devices."""
        return self.number // SHARDS


class Swapping(msgspec.Struct, frozen=True):
    """The swap of one replay, over one connection."""

    connection: Connection
    limits: Limits
    holds_files: bool = False
    """Whether tier is locked out. Without that, no window is recomputed."""

    def list_units(self, replay: Replay) -> list[Unit]:
        """List the units that are still to be swapped."""
        plan = replay.plan
        asked = {"fleet": plan.fleet_id, "reprocess": plan.reprocess, "parts": PARTS}
        numbers = [number for (number,) in self.connection.execute(_SHARDS, asked)]
        swapped = {
            Unit(hour, number) for hour, number in self.connection.execute(_SWAPPED, [replay.replay_number]).fetchall()
        }
        return [unit for unit in _units(plan, numbers) if unit not in swapped]

    def swap(self, replay: Replay, may_go_on: Callable[[], bool]) -> int:
        """Swap unit by unit while time is left; return how many are left."""
        self.connection.execute(_TEMPORARY)
        # Each statement is planned for its hour and shard: a plan for any of them reads whole partitions.
        self.connection.prepare_threshold = None
        if self.holds_files:
            self.connection.execute(_FORGET_MOVED, [replay.replay_number])
        units = self.list_units(replay)
        for done, unit in enumerate(units):
            if not may_go_on() or not self._swap(replay, unit):
                return len(units) - done
        return 0

    def _swap(self, replay: Replay, unit: Unit) -> bool:
        """Swap a unit; return False if the replay is over, or if tier must be locked out first."""
        plan = replay.plan
        since, until = unit.hour, unit.hour + HOUR
        parameters: dict[str, Any] = {
            "number": replay.replay_number,
            "fleet": plan.fleet_id,
            "devices": None if plan.device_ids is None else [*plan.device_ids],
            "shard": unit.shard,
            "unit": unit.number,
            "hour": since,
            "since": since,
            "until": until,
            "hours_from": plan.hours_from,
            "hours_to": plan.hours_to,
            # A copy of the same event may have counted under another time, this far away.
            "nearby": lookback(self.limits),
            "include_late": plan.include_late,
            "reprocess": plan.reprocess,
            "removed": 0,
            "added": 0,
            "windows": 0,
            "expired": False,
            "recomputed": False,
            "in_files": False,
            "readings": 0,
            "total": 0,
            "magnitude": 0,
        }
        floor = find_floor(self.connection)
        if floor is not None and since < floor:
            return self._finish_expired(replay, unit, parameters)
        with self.connection.transaction():
            if not find_value(self.connection, _SWAPS, [replay.replay_number]):
                return False
            floor = find_value(self.connection, _FLOOR)
            expired = floor is not None and since < floor
            if not expired:
                self._swap_samples(unit, parameters)
        # The floor was raised in between.
        return self._finish_expired(replay, unit, parameters) if expired else True

    def _finish_expired(self, replay: Replay, unit: Unit, parameters: dict[str, Any]) -> bool:
        """Compute a unit's windows, or leave them; return False if the replay is over, or tier is not locked out."""
        recomputes = may_recompute(replay)
        if recomputes and not self.holds_files:
            return False
        place = prepare_place(self.connection, unit.hour, replay.replay_number) if recomputes else None
        with self.connection.transaction():
            if not find_value(self.connection, _SWAPS, [replay.replay_number]):
                return False
            if place is not None:
                parameters |= Recomputing(self.connection, parameters, place).recompute(unit.part)
            else:
                # No window may be computed from what is left of an hour.
                parameters |= {"expired": True}
            self.connection.execute(_RECORD, parameters)
        return True

    def _swap_samples(self, unit: Unit, parameters: dict[str, Any]) -> None:
        """Swap a unit's samples, in its transaction."""
        if unit.part:
            # The minutes of fleets were marked with those of their devices.
            self.connection.execute(_RECORD, parameters)
            return
        self.connection.execute("SELECT ensure_partition('sample', %s)", [unit.hour])
        self.connection.execute(_CHOOSE.format(whose=OF_SHARD), parameters)
        removed = self.connection.execute(_REMOVE, parameters).rowcount
        added = self.connection.execute(_ADD, parameters).rowcount
        windows = self.connection.execute(_MARK, parameters).rowcount
        self.connection.execute(_RECORD, parameters | {"removed": removed, "added": added, "windows": windows})


def may_recompute(replay: Replay) -> bool:
    """Return whether a replay may replace whole windows: its generation holds all that counts in them."""
    return replay.plan.reprocess and replay.plan.device_ids is None and bool(replay.counts.get("reaches_back"))


def _units(plan: Plan, numbers: list[int]) -> Iterator[Unit]:
    hour: datetime = plan.hours_from
    while hour < plan.hours_to:
        yield from (Unit(hour, number) for number in numbers)
        hour += timedelta(hours=1)
