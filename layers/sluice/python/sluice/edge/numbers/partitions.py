"""Dropping partitions of a store: the oldest first, and none that a reader holds."""

import psycopg

from sluice.edge.database import Connection, find_value


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
