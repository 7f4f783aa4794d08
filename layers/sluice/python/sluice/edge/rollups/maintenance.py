"""The upkeep of the database: partitions, floors, sums of counts, and expired rows.

Every step is a short transaction of its own: locks are held briefly, and finished steps survive an interrupted run.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from sluice.edge.database import Connection, find_value

STORES = ("sample", "rollup_1m", "rollup_1h")

# The columns by which rows of counts belong together.
COUNTED_BY: Mapping[str, tuple[str, ...]] = {
    "outcome": ("consumer", "fleet_id", "received_hour", "contract", "schema_version", "outcome"),
    "unknown_field": ("fleet_id", "contract", "schema_version", "field", "received_hour"),
}

# The number of rows deleted at a time.
PIECE = 10_000


class Maintenance:
    """Maintain's operations on the database."""

    def __init__(self, connection: Connection, lock_seconds: float) -> None:
        self._connection = connection
        self._lock_seconds = lock_seconds

    def ensure_partitions(self, first: datetime, last: datetime) -> int:
        """Create the missing partitions between two moments, and return their number."""
        return sum(self._ask("SELECT ensure_partitions(%s, %s, %s)", store, first, last) for store in STORES)

    def raise_floor(self, place: Callable[[datetime | None], datetime]) -> datetime:
        """Mark samples before a moment as no longer complete; from now on no window is computed from them.

        The moment is placed by the oldest minute that is not rolled yet. A roller that is computing such a window, and
        a replay that is marking minutes, block the floor until they are done: once this transaction has the lock, its
        next query sees their work.
        """
        with self._connection.transaction():
            self._ask("SELECT store FROM horizon WHERE store = 'sample' FOR UPDATE")
            # Minutes below the floor do not count.
            oldest = self._ask(
                "SELECT min(window_start) FROM dirty WHERE resolution = '1m'"
                " AND window_start >= (SELECT floor FROM horizon WHERE store = 'sample')"
            )
            raised: datetime = self._ask(
                "UPDATE horizon SET floor = greatest(floor, %s) WHERE store = 'sample' RETURNING floor", place(oldest)
            )
        return raised

    def drop_samples(self) -> int:
        """Drop the partitions of samples below the floor that no reader holds; return their number."""
        dropped = 0
        while drop_oldest(self._connection, "sample", self._lock_seconds):
            dropped += 1
        return dropped

    def count_overdue(self) -> int:
        """Count the partitions of samples that should have been dropped."""
        overdue: int = self._ask(
            "SELECT count(*) FROM partitions_of('sample')"
            " WHERE upper(span) <= (SELECT floor FROM horizon WHERE store = 'sample')"
        )
        return overdue

    def fold(self, table: str) -> int:
        """Replace counts that belong together by their sum, and return the number of rows saved.

        One statement: rows that are added meanwhile are not part of it, and stay.
        """
        keys = sql.SQL(", ").join(map(sql.Identifier, COUNTED_BY[table]))
        query = sql.SQL(
            "WITH many AS (SELECT {keys} FROM {table} GROUP BY {keys} HAVING count(*) > 1),"
            " gone AS (DELETE FROM {table} WHERE ({keys}) IN (SELECT {keys} FROM many) RETURNING *),"
            " kept AS (INSERT INTO {table} ({keys}, events) SELECT {keys}, sum(events) FROM gone GROUP BY {keys}"
            " RETURNING 1)"
            " SELECT (SELECT count(*) FROM gone) - (SELECT count(*) FROM kept)"
        ).format(keys=keys, table=sql.Identifier(table))
        saved: int = self._ask(query)
        return saved

    def forget(self, table: str, column: str, before: datetime) -> int:
        """Delete a table's expired rows in pieces; return their number."""
        query = sql.SQL(
            "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE {column} < %s LIMIT %s))"
        ).format(table=sql.Identifier(table), column=sql.Identifier(column))
        forgotten = 0
        while piece := self._connection.execute(query, (before, PIECE)).rowcount:
            forgotten += piece
        return forgotten

    def forget_backtests(self, before: datetime) -> int:
        """Delete old backtests; return their number. The promise of a rule that judges stays."""
        return self._connection.execute(
            "DELETE FROM backtest WHERE ended_at < %s AND NOT EXISTS (SELECT FROM rule WHERE"
            " rule.fleet_id = backtest.fleet_id AND rule.rule_id = backtest.rule_id AND rule.archived_at IS NULL"
            " AND rule.version = backtest.promised_version)",
            (before,),
        ).rowcount

    def _ask(self, query: LiteralString | sql.Composed, *parameters: object) -> Any:
        """Query one value."""
        return find_value(self._connection, query, parameters)


def drop_oldest(connection: Connection, store: str, lock_seconds: float) -> bool:
    """Drop the oldest partition below a store's floor; return False if none exists, or a reader holds it.

    While a drop waits for its lock, later readers wait behind it: it gives up soon, and the next run retries.
    """
    try:
        with connection.transaction():
            connection.execute("SELECT set_config('lock_timeout', %s, true)", (f"{int(lock_seconds * 1000)}ms",))
            dropped = find_value(connection, "SELECT drop_oldest_partition(%s)", (store,))
    except psycopg.errors.LockNotAvailable:
        return False
    return dropped is not None
