"""Records that were given up but could still count: they are covered, and the windows that lack them have gaps.

If such a record is delivered again and this release can read it, it is recovered: it leaves its gap and counts.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

from psycopg.types.multirange import Int8Multirange
from psycopg.types.range import Int8Range, Range

from sluice.core.records import Origin, Partition
from sluice.edge.database import Connection
from sluice.edge.ledger.coverage import span_partitions

_LEAVE = """
    INSERT INTO gap (consumer, topic, partition, offsets, received_from, received_to, given_up)
    VALUES (%s, %s, %s, %s, %s, %s, true)
    ON CONFLICT (consumer, topic, partition, offsets) DO UPDATE SET given_up = true
"""

_FIND = """
    SELECT partition, lower(offsets), upper(offsets) FROM gap WHERE consumer = %s AND topic = %s AND given_up
"""

# The rest of a range, on both sides of the removed records, stays a gap.
_TAKE = """
    WITH back AS (
        SELECT * FROM unnest(%s::text[], %s::integer[], %s::int8multirange[]) AS one (topic, partition, offsets)
    ),
    taken AS (
        DELETE FROM gap USING back
        WHERE gap.consumer = %s AND gap.topic = back.topic AND gap.partition = back.partition
            AND gap.given_up AND gap.offsets && back.offsets
        RETURNING gap.*, back.offsets AS wanted
    ),
    left_over AS (
        INSERT INTO gap (consumer, topic, partition, offsets, received_from, received_to, given_up)
        SELECT consumer, topic, partition, rest, received_from, received_to, true
        FROM taken CROSS JOIN unnest(int8multirange(offsets) - wanted) AS rest
    )
    SELECT topic, partition, int8multirange(offsets) * wanted FROM taken
"""


def leave_gap(
    connection: Connection, consumer: str, place: Partition, span: Int8Range, since: datetime, until: datetime
) -> None:
    """Record that windows lack a range of records, received between two moments."""
    connection.execute(_LEAVE, (consumer, *place, span, since, until))


def leave_gaps(connection: Connection, consumer: str, received: Mapping[Origin, datetime]) -> None:
    """Record that windows lack some records, by their reception."""
    for place, spans in span_partitions(received).items():
        for start, end in spans:
            moments = [received[Origin(*place, offset)] for offset in range(start, end)]
            leave_gap(connection, consumer, place, Int8Range(start, end), min(moments), max(moments))


def find_gaps(connection: Connection, consumer: str, topic: str) -> Iterator[tuple[int, int, int]]:
    """Yield the ranges that a consumer has given up: the partition, the first offset, and the one behind the last."""
    yield from connection.execute(_FIND, (consumer, topic)).fetchall()


def take_from_gaps(connection: Connection, consumer: str, covered: Collection[Origin]) -> set[Origin]:
    """Remove redelivered records from their gaps; return those that had been given up."""
    if not covered:
        return set()
    spans = span_partitions(covered)
    offsets = [Int8Multirange([Range(*each) for each in found]) for found in spans.values()]
    topics, partitions = ([place[number] for place in spans] for number in (0, 1))
    taken = connection.execute(_TAKE, (topics, partitions, offsets, consumer)).fetchall()
    return {
        origin
        for topic, partition, ranges in taken
        for origin in covered
        if (origin.topic, origin.partition) == (topic, partition) and any(origin.offset in one for one in ranges)
    }
