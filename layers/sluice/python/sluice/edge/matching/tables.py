"""The tables of match: which raw files it has read, and the copies of ids that recur."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta

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
_BEHIND = """
    SELECT extract(epoch FROM now() - min(counted_at)) FROM counted_object
    WHERE object >= 'raw/' AND object < 'raw0' AND id_part IS NULL AND counted_at > now() - %s
"""
_PARTS = """
    SELECT DISTINCT id_part FROM counted_object
    WHERE id_part <> '' AND counted_at > now() - %s
    ORDER BY id_part
"""
_NOTE_PART = "UPDATE counted_object SET id_part = %s WHERE object = ANY(%s)"
_ADD = """
    INSERT INTO recurring_copy (id_hash, object, row_number)
    SELECT * FROM unnest(%s::bigint[], %s::text[], %s::integer[]) AS found (id_hash, object, row_number)
    ORDER BY id_hash, object, row_number
    ON CONFLICT DO NOTHING
"""

# The first of an id decides about those that come later; settled ones no longer matter. By object, because reading one
# takes much longer than reading another row of it.
_OPEN = """
    SELECT id_hash, object, row_number, found_at, state FROM recurring_copy
    WHERE state <> 'settled' AND id_hash IN (
        SELECT id_hash FROM recurring_copy
        WHERE state = 'open' AND id_hash <> ALL(%s::bigint[])
        ORDER BY found_at, object, row_number LIMIT %s
    )
    ORDER BY id_hash, object, row_number
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
_COVERED = """
    SELECT asked.partition, asked.kafka_offset, archived.offsets @> int8range(0, asked.kafka_offset, '[]') IS TRUE
    FROM unnest(%s::integer[], %s::bigint[]) AS asked (partition, kafka_offset)
    JOIN coverage AS counted
        ON counted.consumer = %s AND counted.topic = %s AND counted.partition = asked.partition
    LEFT JOIN coverage AS archived
        ON archived.consumer = %s AND archived.topic = %s AND archived.partition = asked.partition
    WHERE counted.offsets @> asked.kafka_offset
"""


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

    def find_age(self) -> float:
        """Return how long the oldest file has waited, in seconds."""
        return float(find_value(self.connection, _BEHIND, [KEPT]) or 0)

    def list_parts(self) -> list[str]:
        """List the parts of earlier ids."""
        return [part for (part,) in self.connection.execute(_PARTS, [KEPT]).fetchall()]

    def note(self, part: str, files: Sequence[str], found: Collection[tuple[int, str, int]]) -> None:
        """Record a part and what recurs in it, all at once."""
        with self.connection.transaction():
            if found:
                self.connection.execute(_ADD, [list(column) for column in zip(*sorted(found), strict=True)])
            self.connection.execute(_NOTE_PART, [part, [*files]])

    def list_open(self, most: int, passed: Collection[int]) -> list[Member]:
        """List the copies that wait longest, by hash; some hashes are passed over."""
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
        """Forget old members; return how many of them were still open."""
        return int(find_value(self.connection, _EXPIRE, [KEPT]))

    def find_covered(self, origins: Collection[Origin]) -> dict[Origin, bool]:
        """Return the records that aggregate has accounted for, and whether raw holds everything up to them."""
        asked = [[one.partition for one in origins], [one.offset for one in origins]]
        consumers = [name for one in (AGGREGATE, ARCHIVE) for name in (one.name, one.topic)]
        rows = self.connection.execute(_COVERED, [*asked, *consumers]).fetchall()
        return {Origin(AGGREGATE.topic, partition, offset): archived for partition, offset, archived in rows}


def _places(members: Iterable[Member]) -> list[list[int] | list[str]]:
    held = list(members)
    return [[one.id_hash for one in held], [one.object for one in held], [one.row for one in held]]
