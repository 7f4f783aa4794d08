"""The ledger's rows: which records a consumer has dealt with, locked while more are added to them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from psycopg.types.multirange import Int8Multirange
from psycopg.types.range import Range

from sluice.core.offsets import span
from sluice.core.records import Origin
from sluice.edge.database import Connection

Partition = tuple[str, int]

# Whoever deals with the same records just then is waited for, and what they have done is read afterwards.
_LOCK = """
    SELECT coverage.topic, coverage.partition, coverage.offsets * multirange(int8range(batch.first, batch.last, '[]'))
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


def lock_coverage(connection: Connection, consumer: str, origins: Iterable[Origin]) -> set[Origin]:
    """Lock the rows of the partitions that records come from, and return the records that are covered already."""
    offsets: defaultdict[Partition, list[int]] = defaultdict(list)
    for origin in origins:
        offsets[origin.topic, origin.partition].append(origin.offset)
    ordered = sorted(offsets)
    batch: dict[str, Any] = {
        "consumer": consumer,
        "topics": [topic for topic, _ in ordered],
        "partitions": [partition for _, partition in ordered],
        "firsts": [min(offsets[place]) for place in ordered],
        "lasts": [max(offsets[place]) for place in ordered],
    }
    locked = connection.execute(_LOCK, batch).fetchall()
    if len(locked) < len(ordered):
        connection.execute(_CREATE, batch)
        locked = connection.execute(_LOCK, batch).fetchall()
    return {
        Origin(topic, partition, offset)
        for topic, partition, covered in locked
        for offset in offsets[topic, partition]
        if any(one.lower <= offset < one.upper for one in covered)
    }


def extend_coverage(
    connection: Connection, consumer: str, origins: Iterable[Origin], received_until: Mapping[Partition, datetime]
) -> None:
    """Add records to what is covered; the rows are locked already."""
    offsets: defaultdict[Partition, list[int]] = defaultdict(list)
    for origin in origins:
        offsets[origin.topic, origin.partition].append(origin.offset)
    ordered = sorted(offsets)
    connection.execute(
        _EXTEND,
        {
            "consumer": consumer,
            "topics": [topic for topic, _ in ordered],
            "partitions": [partition for _, partition in ordered],
            "offsets": [Int8Multirange([Range(*each) for each in span(offsets[place])]) for place in ordered],
            # Records that cannot be read do not say when they were received: greatest() passes over a null.
            "moments": [received_until.get(place) for place in ordered],
        },
    )
