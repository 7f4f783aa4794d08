"""Types of single devices in the database, and how learn reads them from the directory, page by page.

A page is stored with the place behind it, so a reading that ends anywhere is continued. What is known stays until the
directory says something else.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.detect.device_types import AGAIN, TypesAnswer, TypesPage, TypesQuestion, types_of
from sluice.core.errors import Retryable
from sluice.edge.database import Connection, find_value
from sluice.edge.invoked import InvokedFunction

logger = Logger()

MOST_PAGES = 20
"""In a run: a fleet of 50,000 devices takes three."""
MOST_FAILURES = 2
"""In a run: then the directory is left alone until the next one."""
NO_TYPES = TypesPage(())

_FORGET = """
    WITH unwanted AS (
        DELETE FROM device_types_read WHERE fleet_id <> ALL(%(fleets)s) RETURNING fleet_id
    )
    DELETE FROM device_type WHERE fleet_id IN (SELECT fleet_id FROM unwanted)
"""
_WANT = """
    INSERT INTO device_types_read (fleet_id, wanted_at) SELECT unnest(%(fleets)s::text[]), %(now)s
    ON CONFLICT DO NOTHING
"""
_DUE = """
    SELECT fleet_id, after FROM device_types_read
    WHERE failed_at <= %s AND (after <> '' OR completed_at <= %s)
    ORDER BY tried_at, fleet_id
"""
_REMOVE = """
    DELETE FROM device_type
    WHERE fleet_id = %(fleet)s AND device_id > %(after)s COLLATE "C"
        AND (%(until)s::text IS NULL OR device_id <= %(until)s COLLATE "C") AND device_id <> ALL(%(devices)s)
"""
_PUT = """
    INSERT INTO device_type (fleet_id, device_id, device_type)
    SELECT %(fleet)s, * FROM unnest(%(devices)s::text[], %(types)s::text[])
    ON CONFLICT (fleet_id, device_id) DO UPDATE SET device_type = excluded.device_type
    WHERE device_type.device_type <> excluded.device_type
"""
_NOTE = """
    UPDATE device_types_read
    SET after = coalesce(%(until)s, ''), tried_at = %(now)s, failed_at = '-infinity',
        completed_at = CASE WHEN %(until)s::text IS NULL THEN %(now)s ELSE completed_at END
    WHERE fleet_id = %(fleet)s
"""
_NOTE_FAILURE = "UPDATE device_types_read SET tried_at = %(now)s, failed_at = %(now)s WHERE fleet_id = %(fleet)s"
_OLDEST = "SELECT min(greatest(completed_at, wanted_at)) FROM device_types_read"


class Reading(msgspec.Struct, frozen=True):
    """A fleet whose types are to be read, and the device behind which that goes on."""

    fleet_id: str
    after: str


class TypeRows:
    """learn's rows about types of devices."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def want(self, fleets: Collection[str], now: datetime) -> None:
        """Keep the types of these fleets, and forget those that no rule needs any more."""
        with self._connection.transaction():
            for statement in (_FORGET, _WANT):
                self._connection.execute(statement, {"fleets": sorted(fleets), "now": now})

    def find_due(self, now: datetime, every: timedelta) -> list[Reading]:
        """Find the fleets whose types are to be read; first those not tried for longest."""
        rows = self._connection.execute(_DUE, [now - min(AGAIN, every), now - every]).fetchall()
        return [Reading(*row) for row in rows]

    def store(self, reading: Reading, page: TypesPage, now: datetime) -> Reading | None:
        """Store a page in place of what was known of its devices; return where the next one begins, if there is one."""
        types = types_of(page)
        given = {
            "fleet": reading.fleet_id,
            "after": reading.after,
            "until": page.until,
            "devices": list(types),
            "types": list(types.values()),
            "now": now,
        }
        with self._connection.transaction():
            for statement in (_REMOVE, _PUT, _NOTE):
                self._connection.execute(statement, given)
        return None if page.until is None else Reading(reading.fleet_id, page.until)

    def note_failure(self, reading: Reading, now: datetime) -> None:
        """Let a fleet rest; it goes on where it is."""
        self._connection.execute(_NOTE_FAILURE, {"fleet": reading.fleet_id, "now": now})

    def find_oldest(self) -> datetime | None:
        """Find since when the types of some fleet may have changed unnoticed; None if no fleet needs them."""
        found: datetime | None = find_value(self._connection, _OLDEST)
        return found


class DeviceTypes:
    """Asks lookup for types, within limits."""

    def __init__(self, lookup: InvokedFunction, every: timedelta) -> None:
        self._lookup = lookup
        self._every = every

    def renew(
        self, rows: TypeRows, fleets: Collection[str], now: datetime, has_time: Callable[[], bool]
    ) -> timedelta | None:
        """Read what is due while time is left; return how old the oldest types are, if any fleet needs them."""
        rows.want(fleets, now)
        pages, failures = MOST_PAGES, MOST_FAILURES
        waiting = rows.find_due(now, self._every)
        while waiting and pages and failures and has_time():
            reading = waiting.pop(0)
            try:
                following = rows.store(reading, self._ask(reading), now)
            except Retryable as error:
                logger.warning("types of devices stay as they are", fleet_id=reading.fleet_id, reason=str(error))
                rows.note_failure(reading, now)
                failures -= 1
                continue
            pages -= 1
            if following is not None:
                waiting.insert(0, following)
        oldest = rows.find_oldest()
        return None if oldest is None else now - oldest

    def _ask(self, reading: Reading) -> TypesPage:
        question = TypesQuestion(reading.fleet_id, reading.after, f"types-{reading.fleet_id}")
        answer = self._lookup.ask(question, TypesAnswer)
        if answer.problem in ("no_directory", "unknown"):
            # The directory has no types of this fleet, or there is none.
            return NO_TYPES
        if answer.types is None:
            raise Retryable(answer.detail or "lookup answered without types")
        return answer.types
