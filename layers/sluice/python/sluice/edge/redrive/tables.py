"""The tables of re-drives: one row for each, and one for each letter that any of them took up."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from sluice.core.control.audit import Act
from sluice.core.errors import Refusal
from sluice.core.records import Origin
from sluice.core.redrive.groups import ACCEPTED, Standing
from sluice.edge.control.redrives import count_letters
from sluice.edge.control.store import Changes, lock_audit
from sluice.edge.database import Connection, find_value

ACTIVE = ("sending", "draining")
"""The states in which a re-drive is not over."""

MOST_ASKED = 10_000
"""How many letters are looked up or forgotten in a statement."""

_REDRIVES = (
    "SELECT redrive_number, group_id, fleet_id, fix, since, until, state, principal, reason, correlation_id, position,"
    " claimed_at, moved_at, sent_at, trouble, consumer FROM redrive"
)
_WRITE = """
    INSERT INTO redrive_letter
        (letter_id, redrive_number, state, attempts, original_sha256, reason, detail,
         consumer, kafka_partition, kafka_offset)
    SELECT letter_id, %s, state, attempts, original_sha256, reason, detail, consumer, kafka_partition, kafka_offset
    FROM unnest(
        %s::text[], %s::text[], %s::smallint[], %s::text[], %s::text[], %s::text[],
        %s::text[], %s::integer[], %s::bigint[]
    ) AS given
        (letter_id, state, attempts, original_sha256, reason, detail, consumer, kafka_partition, kafka_offset)
    ORDER BY letter_id
    ON CONFLICT (letter_id) DO UPDATE SET
        redrive_number = excluded.redrive_number, state = excluded.state, attempts = excluded.attempts,
        original_sha256 = excluded.original_sha256, reason = excluded.reason, detail = excluded.detail,
        consumer = excluded.consumer, kafka_partition = excluded.kafka_partition,
        kafka_offset = excluded.kafka_offset, changed_at = clock_timestamp()
    -- Its row may have been counted meanwhile.
    WHERE redrive_letter.state <> 'accounted'
"""
_PLACE = """
    UPDATE redrive_letter
    SET state = 'accepted', kafka_partition = given.partition, kafka_offset = given.kafka_offset,
        changed_at = clock_timestamp()
    FROM unnest(%s::text[], %s::integer[], %s::bigint[]) AS given (letter_id, partition, kafka_offset)
    WHERE redrive_letter.letter_id = given.letter_id AND redrive_letter.redrive_number = %s
        AND redrive_letter.state = 'sending'
"""


class Redrive(msgspec.Struct, frozen=True):
    """One re-drive, as its row has it."""

    redrive_number: int
    group_id: str
    fleet_id: str
    fix: list[dict[str, Any]]
    since: datetime
    until: datetime
    state: str
    principal: str
    reason: str
    correlation_id: str
    position: str
    claimed_at: datetime
    moved_at: datetime
    sent_at: datetime | None
    trouble: str | None
    consumer: str
    """Whose letters it takes up."""

    @property
    def redrive_id(self) -> str:
        """Return the name under which people know it."""
        return f"redrive-{self.redrive_number}"


class Judged(msgspec.Struct, frozen=True):
    """What a letter becomes before anything of it is produced."""

    letter_id: str
    state: str
    attempts: int
    original_sha256: str | None
    """Of the bytes that the device sent; None if the letter lacks some of them."""
    reason: str | None = None
    detail: str | None = None
    consumer: str | None = None
    """Whom its record is given to; None for an event, whose place is not known yet."""
    kafka_partition: int | None = None
    kafka_offset: int | None = None


class RedriveTables:
    """One connection, for one run."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def lock(self) -> bool:
        """Lock out other runs while the connection is open; return False if one is active."""
        return bool(find_value(self._connection, "SELECT pg_try_advisory_lock(hashtextextended('redrive', 0))"))

    def list_active(self) -> list[Redrive]:
        """List the re-drives that are not over."""
        rows = self._connection.execute(f"{_REDRIVES} WHERE state = ANY(%s) ORDER BY redrive_number", [[*ACTIVE]])
        return [Redrive(*row) for row in rows.fetchall()]

    def find_state(self, redrive_number: int) -> str:
        """Read a re-drive's state: an admin may have cancelled it."""
        state: str = find_value(
            self._connection, "SELECT state FROM redrive WHERE redrive_number = %s", [redrive_number]
        )
        return state

    def find_home(self, fleet_id: str) -> str | None:
        """Read the home region of a fleet, as it is now."""
        home: str | None = find_value(self._connection, "SELECT home_region FROM fleet WHERE fleet_id = %s", [fleet_id])
        return home

    def check_fleet(self, fleet_id: str, region: str) -> str | None:
        """Return the home region of a fleet, as it is now; refuse what ingest would refuse of the fleet as a whole."""
        row = self._connection.execute(
            "SELECT home_region, archived_at FROM fleet WHERE fleet_id = %s", [fleet_id]
        ).fetchone()
        home: str | None
        home, archived_at = row or (None, None)
        if archived_at is not None:
            raise Refusal(409, "fleet_archived", f"Fleet {fleet_id} is archived: it sends no events any more.")
        if home not in (None, region):
            raise Refusal(409, "wrong_region", f"The home of fleet {fleet_id} is {home}, and this is {region}.")
        return home

    def list_alike(self, redrive_number: int) -> set[int]:
        """List the re-drives that have the fix of one: it itself, and those that would make the same of a letter."""
        rows = self._connection.execute(
            "SELECT other.redrive_number FROM redrive AS other JOIN redrive AS own USING (fix)"
            " WHERE own.redrive_number = %s",
            [redrive_number],
        )
        return {number for (number,) in rows}

    def find_standings(self, letter_ids: Sequence[str]) -> dict[str, Standing]:
        """Read what re-drives made of letters; those that none took up are left out."""
        found: dict[str, Standing] = {}
        for start in range(0, len(letter_ids), MOST_ASKED):
            rows = self._connection.execute(
                "SELECT letter_id, state, attempts, redrive_number FROM redrive_letter WHERE letter_id = ANY(%s)",
                [letter_ids[start : start + MOST_ASKED]],
            )
            found |= {letter_id: Standing(*standing) for letter_id, *standing in rows}
        return found

    def write(self, redrive_number: int, judged: Sequence[Judged]) -> None:
        """Write what letters become, before any of them is produced."""
        columns = [[getattr(one, name) for one in judged] for name in Judged.__struct_fields__]
        self._connection.execute(_WRITE, [redrive_number, *columns])

    def place(self, redrive_number: int, places: Mapping[str, Origin]) -> None:
        """Write where events are stored."""
        columns = [[*places], [one.partition for one in places.values()], [one.offset for one in places.values()]]
        self._connection.execute(_PLACE, [*columns, redrive_number])

    def advance(self, redrive_number: int, position: str, *, unreadable: bool, passed_over: int) -> None:
        """Note that an object's letters are dealt with."""
        self._connection.execute(
            "UPDATE redrive SET position = %(position)s, trouble = NULL, moved_at = clock_timestamp(),"
            " counts = counts || jsonb_build_object("
            " 'objects', coalesce((counts ->> 'objects')::bigint, 0) + 1,"
            " 'unreadable', coalesce((counts ->> 'unreadable')::bigint, 0) + %(unreadable)s,"
            " 'passed_over', coalesce((counts ->> 'passed_over')::bigint, 0) + %(passed_over)s)"
            " WHERE redrive_number = %(number)s AND position < %(position)s",
            {
                "number": redrive_number,
                "position": position,
                "unreadable": int(unreadable),
                "passed_over": passed_over,
            },
        )

    def drain(self, redrive_number: int) -> None:
        """Note that every letter was judged, and every passing one is in raw-events."""
        self._connection.execute(
            "UPDATE redrive SET state = 'draining', sent_at = clock_timestamp(), moved_at = clock_timestamp(),"
            " trouble = NULL"
            " WHERE redrive_number = %s AND state = 'sending'",
            [redrive_number],
        )

    def count_unaccounted(self, redrive_number: int) -> int:
        """Count the events of a re-drive that are not accounted for yet."""
        left = "SELECT count(*) FROM redrive_letter WHERE redrive_number = %s AND state = %s"
        return int(find_value(self._connection, left, [redrive_number, ACCEPTED]))

    def note_trouble(self, redrive_number: int, trouble: str | None) -> None:
        """Note why a re-drive does not get on."""
        self._connection.execute("UPDATE redrive SET trouble = %s WHERE redrive_number = %s", [trouble, redrive_number])

    def end(self, redrive_number: int, state: str) -> bool:
        """End a re-drive that is not over."""
        ended = self._connection.execute(
            "UPDATE redrive SET state = %s, ended_at = clock_timestamp() WHERE redrive_number = %s AND state = ANY(%s)",
            [state, redrive_number, [*ACTIVE]],
        )
        return bool(ended.rowcount)

    def measure_standstill(self) -> float:
        """Return for how many seconds the re-drive that has stood still longest has dealt with nothing."""
        longest = "SELECT max(extract(epoch FROM clock_timestamp() - moved_at)) FROM redrive WHERE state = ANY(%s)"
        return float(find_value(self._connection, longest, [[*ACTIVE]]) or 0)

    def forget(self, older_than: timedelta, may_go_on: Callable[[], bool]) -> None:
        """Delete rows of letters that S3 no longer has: their rows changed after they failed."""
        some = (
            "DELETE FROM redrive_letter WHERE letter_id IN ("
            " SELECT letter_id FROM redrive_letter WHERE changed_at < clock_timestamp() - %s LIMIT %s)"
        )
        while self._connection.execute(some, [older_than, MOST_ASKED]).rowcount == MOST_ASKED and may_go_on():
            pass

    def count(self, redrive_number: int) -> dict[str, int]:
        """Count the letters of a re-drive by their state."""
        return count_letters(self._connection, redrive_number)

    def audit(self, acts: Sequence[Act]) -> None:
        """Write audit entries, in the transaction of what they tell of."""
        lock_audit(self._connection)
        Changes(self._connection).append(acts)
