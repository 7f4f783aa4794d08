"""Types of single devices in the database, and how learn reads them from the directory, page by page.

A page is stored with the place behind it, so a reading that ends anywhere is continued. What is known stays until the
directory says something else. An answer that would leave a fleet without any type is taken for a failure, and so is a
directory that never ends: of devices that no one has heard of, nothing is stored.
"""

from collections.abc import Callable, Collection, Mapping
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
MOST_PAGES_OF_FLEET = 200
"""In a reading: 200,000 devices with types, four times the devices of all fleets at baseline."""
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
    SELECT fleet_id, after, pages FROM device_types_read
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
    SELECT entity.fleet_id, entity.device_id, given.device_type
    FROM unnest(%(devices)s::text[], %(types)s::text[]) AS given (device_id, device_type)
    INNER JOIN entity ON entity.fleet_id = %(fleet)s AND entity.device_id = given.device_id
    ON CONFLICT (fleet_id, device_id) DO UPDATE SET device_type = excluded.device_type
    WHERE device_type.device_type <> excluded.device_type
"""
_HAS_TYPES = "SELECT EXISTS (SELECT FROM device_type WHERE fleet_id = %s)"
_NOTE = """
    UPDATE device_types_read
    SET after = coalesce(%(until)s, ''), pages = %(pages)s, tried_at = %(now)s, failed_at = '-infinity',
        completed_at = CASE WHEN %(until)s::text IS NULL THEN %(now)s ELSE completed_at END
    WHERE fleet_id = %(fleet)s
"""
_NOTE_FAILURE = """
    UPDATE device_types_read
    SET tried_at = %(now)s, failed_at = %(now)s,
        after = CASE WHEN %(anew)s THEN '' ELSE after END, pages = CASE WHEN %(anew)s THEN 0 ELSE pages END
    WHERE fleet_id = %(fleet)s
"""
_OLDEST = "SELECT min(greatest(completed_at, wanted_at)) FROM device_types_read"


class ReadingFailedError(Retryable):
    """A reading that cannot go on where it is: the next one begins with the fleet's first device."""


class Reading(msgspec.Struct, frozen=True):
    """A fleet whose types are to be read, and the device behind which that goes on."""

    fleet_id: str
    after: str
    pages: int = 0
    """How many the reading has had."""


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
        """Store a page in place of what was known of its devices; return where the next one begins, if there is one.

        ReadingFailedError if it has no types, and would take the last ones that the fleet has: a directory that lost
        its data looks like that.
        """
        types = types_of(page)
        with self._connection.transaction():
            had = not types and self._has_types(reading)
            self._replace(reading, page.until, types, now)
            if had and not self._has_types(reading):
                raise ReadingFailedError("the directory has no types of this fleet any more")
        return None if page.until is None else Reading(reading.fleet_id, page.until, reading.pages + 1)

    def clear(self, reading: Reading, now: datetime) -> None:
        """Forget the types of a fleet, because no directory gives any."""
        with self._connection.transaction():
            self._replace(Reading(reading.fleet_id, ""), None, {}, now)

    def note_failure(self, reading: Reading, now: datetime, *, anew: bool) -> None:
        """Let a fleet rest; it goes on where it is, or begins anew."""
        self._connection.execute(_NOTE_FAILURE, {"fleet": reading.fleet_id, "now": now, "anew": anew})

    def find_oldest(self) -> datetime | None:
        """Find since when the types of some fleet may have changed unnoticed; None if no fleet needs them."""
        found: datetime | None = find_value(self._connection, _OLDEST)
        return found

    def _replace(self, reading: Reading, until: str | None, types: Mapping[str, str], now: datetime) -> None:
        given = {
            "fleet": reading.fleet_id,
            "after": reading.after,
            "until": until,
            "devices": list(types),
            "types": list(types.values()),
            "pages": 0 if until is None else reading.pages + 1,
            "now": now,
        }
        for statement in (_REMOVE, _PUT, _NOTE):
            self._connection.execute(statement, given)

    def _has_types(self, reading: Reading) -> bool:
        found: bool = find_value(self._connection, _HAS_TYPES, [reading.fleet_id])
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
                following = self._read(rows, reading, now)
            except Retryable as error:
                logger.warning("types of devices stay as they are", fleet_id=reading.fleet_id, reason=str(error))
                rows.note_failure(reading, now, anew=isinstance(error, ReadingFailedError))
                failures -= 1
                continue
            pages -= 1
            if following is not None:
                waiting.insert(0, following)
        oldest = rows.find_oldest()
        return None if oldest is None else now - oldest

    def _read(self, rows: TypeRows, reading: Reading, now: datetime) -> Reading | None:
        """Read and store a page; return where the next one begins."""
        if reading.pages >= MOST_PAGES_OF_FLEET:
            raise ReadingFailedError(f"the directory does not end after {reading.pages} pages")
        page = self._ask(reading)
        if page is not None:
            return rows.store(reading, page, now)
        rows.clear(reading, now)
        return None

    def _ask(self, reading: Reading) -> TypesPage | None:
        """Return a page; None if this stage has no directory."""
        question = TypesQuestion(reading.fleet_id, reading.after, f"types-{reading.fleet_id}")
        answer = self._lookup.ask(question, TypesAnswer)
        if answer.problem == "no_directory":
            return None
        if answer.problem == "unknown":
            if reading.after:
                raise ReadingFailedError("the directory does not know the fleet any more")
            return NO_TYPES
        if answer.types is None:
            raise Retryable(answer.detail or "lookup answered without types")
        return answer.types
