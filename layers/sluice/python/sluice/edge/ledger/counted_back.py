"""Records that a replay has accounted for in aggregate's place: in one row for each replay and partition."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from psycopg.types.multirange import Int8Multirange
from psycopg.types.range import Range

from sluice.core.offsets import Span
from sluice.core.records import Origin, Partition
from sluice.edge.database import Connection, find_value
from sluice.edge.ledger.coverage import span_partitions

# A re-drive decides by what replays have counted, and a replay by what re-drives have begun.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('counted_back/' || %s::text, 0))"
_TRY_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('counted_back/' || %s::text, 0))"

_NOTE = """
    INSERT INTO counted_back (replay_number, consumer, topic, partition, offsets)
    SELECT %s, %s, * FROM unnest(%s::text[], %s::integer[], %s::int8multirange[]) AS one (topic, partition, offsets)
"""

# All of a partition's records at once: a replay may have counted many ranges.
_FIND = """
    SELECT topic, partition, counted_back.offsets * asked.offsets, nullif(coverage.begun_at, '-infinity')
    FROM counted_back
    JOIN unnest(%s::text[], %s::integer[], %s::int8multirange[]) AS asked (topic, partition, offsets)
        USING (topic, partition)
    JOIN coverage USING (consumer, topic, partition)
    WHERE consumer = %s AND counted_back.offsets && asked.offsets
"""


def lock_counting(connection: Connection, consumer: str) -> None:
    """Keep others from counting or re-driving a consumer's records; wait for them. Ends with the transaction."""
    connection.execute(_LOCK, (consumer,))


def try_lock_counting(connection: Connection, consumer: str) -> bool:
    """Do the same without waiting; return whether nobody else does it now."""
    return bool(find_value(connection, _TRY_LOCK, (consumer,)))


def note_counted_back(
    connection: Connection, replay_number: int, consumer: str, spans: Mapping[Partition, Sequence[Span]]
) -> None:
    """Note what a replay has accounted for. Needs the transaction that counts it."""
    connection.execute(_NOTE, (replay_number, consumer, *_columns(spans)))


def find_counted_back(connection: Connection, consumer: str, received: Mapping[Origin, datetime]) -> set[Origin]:
    """Return which records a replay has accounted for; given their receptions, as a topic may have been recreated."""
    if not received:
        return set()
    found = connection.execute(_FIND, (*_columns(span_partitions(received)), consumer)).fetchall()
    return {
        origin
        for topic, partition, offsets, begun_at in found
        for origin in (Origin(topic, partition, offset) for one in offsets for offset in range(one.lower, one.upper))
        if begun_at is None or received[origin] >= begun_at
    }


def _columns(spans: Mapping[Partition, Sequence[Span]]) -> tuple[list[object], ...]:
    return (
        [topic for topic, _ in spans],
        [partition for _, partition in spans],
        [Int8Multirange([Range(*each) for each in found]) for found in spans.values()],
    )
