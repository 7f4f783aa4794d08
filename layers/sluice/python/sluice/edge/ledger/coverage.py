"""The ledger's rows: which records a consumer has covered, locked while more are added."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from psycopg.types.multirange import Int8Multirange
from psycopg.types.range import Range

from sluice.core.offsets import Span, span
from sluice.core.records import Origin, Partition
from sluice.edge.database import Connection

# Waits for any other transaction on the same records, and reads its result afterwards.
_LOCK = """
    SELECT
        coverage.topic, coverage.partition, coverage.offsets * multirange(int8range(batch.first, batch.last, '[]')),
        nullif(coverage.received_until, '-infinity'), nullif(coverage.begun_at, '-infinity'),
        coalesce(upper(coverage.offsets), 0)
    FROM coverage
    JOIN unnest(%(topics)s::text[], %(partitions)s::integer[], %(firsts)s::bigint[], %(lasts)s::bigint[])
        AS batch (topic, partition, first, last) USING (topic, partition)
    WHERE coverage.consumer = %(consumer)s
    ORDER BY coverage.topic, coverage.partition
    FOR UPDATE OF coverage
"""

_CREATE = """
    INSERT INTO coverage (consumer, topic, partition)
    SELECT %(consumer)s, topic, partition
    FROM unnest(%(topics)s::text[], %(partitions)s::integer[]) AS batch (topic, partition)
    ORDER BY topic, partition
    ON CONFLICT DO NOTHING
"""

_EXTEND = """
    UPDATE coverage
    SET offsets = offsets + batch.more, received_until = greatest(coverage.received_until, batch.received_until)
    FROM unnest(
        %(topics)s::text[], %(partitions)s::integer[], %(offsets)s::int8multirange[], %(moments)s::timestamptz[]
    ) AS batch (topic, partition, more, received_until)
    WHERE coverage.consumer = %(consumer)s
        AND coverage.topic = batch.topic AND coverage.partition = batch.partition
"""

_PUT_ASIDE = "SELECT put_coverage_aside(%s, %s, %s, %s)"


class Held(msgspec.Struct, frozen=True):
    """A partition's locked row: the covered offsets among those asked about, and their latest reception.

    The end is the end of all its offsets.
    """

    covered: list[Span]
    received_until: datetime | None
    begun_at: datetime | None
    end: int


def lock_coverage(connection: Connection, consumer: str, received: Mapping[Origin, datetime | None]) -> set[Origin]:
    """Lock the rows of the records' partitions, and return the records that are already covered.

    A record at a covered offset that was received later than all covered records cannot be a redelivery: its topic was
    recreated. None stands for a record that does not say when it was received; it proves nothing.
    """
    offsets = _by_partition(received)
    places = {place: (min(found), max(found)) for place, found in offsets.items()}
    covered: set[Origin] = set()
    for place, held in lock_places(connection, consumer, places).items():
        found = [
            Origin(*place, offset)
            for offset in offsets[place]
            if any(first <= offset < last for first, last in held.covered)
        ]
        moments = [moment for one in found if (moment := received[one])]
        later = [moment for moment in moments if held.received_until and moment > held.received_until]
        if later:
            begin_anew(connection, consumer, place, min(later))
        else:
            covered.update(found)
    return covered


def lock_places(
    connection: Connection, consumer: str, places: Mapping[Partition, tuple[int, int]]
) -> dict[Partition, Held]:
    """Lock the rows of partitions, each for a range of offsets, both ends included."""
    ordered = sorted(places)
    batch: dict[str, Any] = {
        "consumer": consumer,
        "topics": [topic for topic, _ in ordered],
        "partitions": [partition for _, partition in ordered],
        "firsts": [places[place][0] for place in ordered],
        "lasts": [places[place][1] for place in ordered],
    }
    locked = connection.execute(_LOCK, batch).fetchall()
    if len(locked) < len(ordered):
        connection.execute(_CREATE, batch)
        locked = connection.execute(_LOCK, batch).fetchall()
    return {
        (topic, partition): Held([(one.lower, one.upper) for one in covered], received_until, begun_at, end)
        for topic, partition, covered, received_until, begun_at, end in locked
    }


def begin_anew(connection: Connection, consumer: str, place: Partition, begun_at: datetime) -> None:
    """Put aside the coverage of a recreated topic; the rows are locked already."""
    connection.execute(_PUT_ASIDE, (consumer, *place, begun_at))


def span_partitions(origins: Iterable[Origin]) -> dict[Partition, list[Span]]:
    """Merge the offsets of records into ranges."""
    return {place: span(offsets) for place, offsets in _by_partition(origins).items()}


def extend_coverage(
    connection: Connection,
    consumer: str,
    spans: Mapping[Partition, Sequence[Span]],
    received_until: Mapping[Partition, datetime],
) -> None:
    """Add offsets to the coverage; the rows are locked already."""
    ordered = sorted(spans)
    connection.execute(
        _EXTEND,
        {
            "consumer": consumer,
            "topics": [topic for topic, _ in ordered],
            "partitions": [partition for _, partition in ordered],
            "offsets": [Int8Multirange([Range(*each) for each in spans[place]]) for place in ordered],
            # Unreadable records do not say when they were received: greatest() ignores a null.
            "moments": [received_until.get(place) for place in ordered],
        },
    )


def _by_partition(origins: Iterable[Origin]) -> dict[Partition, list[int]]:
    offsets: defaultdict[Partition, list[int]] = defaultdict(list)
    for origin in origins:
        offsets[origin.topic, origin.partition].append(origin.offset)
    return offsets
