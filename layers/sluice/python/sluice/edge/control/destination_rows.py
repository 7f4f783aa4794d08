"""The table of destinations."""

from datetime import datetime

from sluice.core.control.destinations import LastTests, StoredDestination
from sluice.core.errors import Refusal
from sluice.edge.control.store import Changes, Rows
from sluice.edge.database import find_value

_DESTINATIONS = """
    SELECT destination_id, fleet_id, kind, secret, least_severity, after_minutes, created_at, archived_at, version
    FROM destination
"""


def find_destination(rows: Rows, destination_id: str) -> StoredDestination | None:
    """Read a destination, if there is one."""
    found = rows.read(StoredDestination, f"{_DESTINATIONS} WHERE destination_id = %s", destination_id)
    return next(iter(found), None)


def get_destination(rows: Rows, destination_id: str) -> StoredDestination:
    """Read a destination, or refuse an unknown one."""
    destination = find_destination(rows, destination_id)
    if destination is None:
        raise Refusal(404, "unknown_destination", f"There is no destination {destination_id[:64]!r}.")
    return destination


def list_destinations(rows: Rows, after: str, most: int) -> list[StoredDestination]:
    """List destinations in the order of their ids."""
    query = f"{_DESTINATIONS} WHERE destination_id > %s ORDER BY destination_id LIMIT %s"
    return rows.read(StoredDestination, query, after, most)


def count_destinations(rows: Rows) -> int:
    """Count the destinations that are notified."""
    return int(find_value(rows.connection, "SELECT count(*) FROM destination WHERE archived_at IS NULL"))


def insert_destination(changes: Changes, destination: StoredDestination) -> None:
    """Store a new destination."""
    changes.connection.execute(
        "INSERT INTO destination (destination_id, fleet_id, kind, secret, least_severity, after_minutes, created_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (
            destination.destination_id,
            destination.fleet_id,
            destination.kind,
            destination.secret,
            destination.least_severity,
            destination.after_minutes,
            destination.created_at,
        ),
    )


def update_destination(changes: Changes, destination: StoredDestination) -> None:
    """Store a changed destination."""
    changes.connection.execute(
        "UPDATE destination SET secret = %s, least_severity = %s, after_minutes = %s, archived_at = %s, version = %s"
        " WHERE destination_id = %s",
        (
            destination.secret,
            destination.least_severity,
            destination.after_minutes,
            destination.archived_at,
            destination.version,
            destination.destination_id,
        ),
    )


def find_tests(rows: Rows, destination_id: str) -> LastTests:
    """Find when a destination, and when any, was tested last."""
    row = rows.connection.execute(
        "SELECT max(tested_at) FILTER (WHERE destination_id = %s), max(tested_at) FROM destination", (destination_id,)
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate returns a row
    return LastTests(*row)


def note_test(changes: Changes, destination_id: str, now: datetime) -> None:
    """Note that a destination is tested. Its version stays: that counts changes."""
    changes.connection.execute("UPDATE destination SET tested_at = %s WHERE destination_id = %s", (now, destination_id))
