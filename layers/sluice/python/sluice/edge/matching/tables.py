"""The tables of match: which raw files it has read, and the copies of ids that recur."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from sluice.core.consumers import AGGREGATE, ARCHIVE
from sluice.core.matching.copies import Member, State
from sluice.core.records import Origin
from sluice.edge.database import Connection, find_value

IDS = "ids/"
"""Where the ids of files are in the control bucket."""
KEPT = timedelta(hours=26)
"""How long ago a file may have been counted whose ids are compared with new ones: as long as samples are kept."""

_UNREAD = """
    SELECT object, row_count FROM counted_object
    WHERE object >= 'raw/' AND object < 'raw0' AND id_part IS NULL AND counted_at > now() - %s
    ORDER BY counted_at, object
"""
_UNREAD_FROM = """
    SELECT min(coalesce(received_from, 'epoch')) FROM counted_object
    WHERE object >= 'raw/' AND object < 'raw0' AND id_part IS NULL AND counted_at > now() - %s
"""
_BEHIND = """
    SELECT extract(epoch FROM now() - min(counted_at)) FROM counted_object
    WHERE object >= 'raw/' AND object < 'raw0' AND id_part IS NULL AND counted_at > now() - %s
"""
_PARTS = """
    SELECT id_part FROM counted_object
    WHERE id_part <> '' AND counted_at > now() - %s
    GROUP BY id_part
    ORDER BY min(counted_at), id_part
"""
_NOTE_PART = "UPDATE counted_object SET id_part = %s WHERE object = ANY(%s)"
_FORGET_PARTS = "UPDATE counted_object SET id_part = NULL WHERE id_part = ANY(%s)"
_ADD = """
    INSERT INTO recurring_copy (id_hash, object, row_number, turn)
    SELECT *
    FROM unnest(%s::bigint[], %s::text[], %s::integer[], %s::integer[]) AS found (id_hash, object, row_number, turn)
    ORDER BY id_hash, object, row_number
    ON CONFLICT DO NOTHING
"""

# The first of an id decides about those that come later; settled ones no longer matter. By turn: each fleet has one.
_OPEN = """
    SELECT id_hash, object, row_number, found_at, state FROM recurring_copy
    WHERE state <> 'settled' AND id_hash IN (
        SELECT id_hash FROM recurring_copy
        WHERE state = 'open' AND id_hash <> ALL(%s::bigint[])
        ORDER BY turn, found_at, object, row_number LIMIT %s
    )
    ORDER BY turn, found_at, id_hash, object, row_number
"""
_SETTLE = """
    UPDATE recurring_copy AS held SET state = new.state
    FROM unnest(%s::bigint[], %s::text[], %s::integer[], %s::text[]) AS new (id_hash, object, row_number, state)
    WHERE held.id_hash = new.id_hash AND held.object = new.object AND held.row_number = new.row_number
        AND held.state <> new.state
"""
_DROP = """
    DELETE FROM recurring_copy AS held
    USING unnest(%s::bigint[], %s::text[], %s::integer[]) AS gone (id, object, number)
    WHERE held.id_hash = gone.id AND held.object = gone.object AND held.row_number = gone.number
"""
_EXPIRE = """
    WITH expired AS (DELETE FROM recurring_copy WHERE found_at < now() - %s RETURNING state)
    SELECT count(*) FILTER (WHERE state = 'open') FROM expired
"""
_EXPIRE_FILES = """
    WITH expired AS (
        UPDATE counted_object SET id_part = ''
        WHERE object >= 'raw/' AND object < 'raw0' AND id_part IS NULL AND counted_at <= now() - %s
        RETURNING row_count
    )
    SELECT coalesce(sum(row_count), 0) FROM expired
"""

# What aggregate gave up is covered too. It may still count, when it is recovered.
_COVERED = """
    SELECT asked.partition, asked.kafka_offset, archived.offsets @> int8range(0, asked.kafka_offset, '[]') IS TRUE
    FROM unnest(%s::integer[], %s::bigint[]) AS asked (partition, kafka_offset)
    JOIN coverage AS counted
        ON counted.consumer = %s AND counted.topic = %s AND counted.partition = asked.partition
    LEFT JOIN coverage AS archived
        ON archived.consumer = %s AND archived.topic = %s AND archived.partition = asked.partition
    WHERE counted.offsets @> asked.kafka_offset
        AND NOT EXISTS (
            SELECT FROM gap
            WHERE gap.consumer = counted.consumer AND gap.topic = counted.topic
                AND gap.partition = counted.partition AND gap.given_up AND gap.offsets @> asked.kafka_offset
        )
"""

Found = tuple[int, str, int, int]
"""A row of raw whose id recurs: the id's hash, the file, the row, and the id's turn."""


class UnreadFile(msgspec.Struct, frozen=True):
    """A counted raw file whose ids are not read yet."""

    name: str
    rows: int


class MatchTables(msgspec.Struct, frozen=True):
    """The tables, over one connection."""

    connection: Connection

    def list_unread(self) -> list[UnreadFile]:
        """List the files to read, in the order in which they were counted."""
        return [UnreadFile(*row) for row in self.connection.execute(_UNREAD, [KEPT]).fetchall()]

    def find_unread_from(self) -> datetime | None:
        """Return the earliest reception in files that are not read yet; None if all are read."""
        since: datetime | None = find_value(self.connection, _UNREAD_FROM, [KEPT])
        return since

    def find_age(self) -> float:
        """Return how long the oldest file has waited, in seconds."""
        return float(find_value(self.connection, _BEHIND, [KEPT]) or 0)

    def list_parts(self) -> list[str]:
        """List the parts of earlier ids, the oldest first."""
        return [part for (part,) in self.connection.execute(_PARTS, [KEPT]).fetchall()]

    def note(self, part: str, files: Sequence[str], found: Collection[Found], damaged: Sequence[str] = ()) -> None:
        """Record a part and what recurs in it, and that the files of damaged parts must be read again, all at once."""
        with self.connection.transaction():
            if damaged:
                self.connection.execute(_FORGET_PARTS, [[*damaged]])
            if found:
                self.connection.execute(_ADD, [list(column) for column in zip(*sorted(found), strict=True)])
            self.connection.execute(_NOTE_PART, [part, [*files]])

    def list_open(self, most: int, passed: Collection[int]) -> list[Member]:
        """List open copies, those of each fleet in turn; some hashes are passed over."""
        return [Member(*row) for row in self.connection.execute(_OPEN, [[*passed], most]).fetchall()]

    def settle(self, states: Mapping[Member, State]) -> None:
        """Write the states of members."""
        columns = [*_places(states), [*states.values()]]
        self.connection.execute(_SETTLE, columns)

    def drop(self, members: Collection[Member]) -> None:
        """Forget members that cannot be read."""
        if members:
            self.connection.execute(_DROP, _places(members))

    def expire(self) -> int:
        """Forget old members, and files that are too old to be compared; return how many events were not settled."""
        with self.connection.transaction():
            return int(find_value(self.connection, _EXPIRE, [KEPT])) + int(
                find_value(self.connection, _EXPIRE_FILES, [KEPT])
            )

    def find_covered(self, origins: Collection[Origin]) -> dict[Origin, bool]:
        """Return the records whose outcome is final, and whether raw holds everything up to them."""
        asked = [[one.partition for one in origins], [one.offset for one in origins]]
        consumers = [name for one in (AGGREGATE, ARCHIVE) for name in (one.name, one.topic)]
        rows = self.connection.execute(_COVERED, [*asked, *consumers]).fetchall()
        return {Origin(AGGREGATE.topic, partition, offset): archived for partition, offset, archived in rows}


def _places(members: Iterable[Member]) -> list[list[int] | list[str]]:
    held = list(members)
    return [[one.id_hash for one in held], [one.object for one in held], [one.row for one in held]]
