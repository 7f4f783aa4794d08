"""Generated rollups, and how to read all of them from both stores: for tests that move them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from io import BytesIO
from random import Random
from typing import Any

import psycopg
import pyarrow.parquet as pq
from psycopg.rows import dict_row

from sluice.edge.rollup_archive.tables import SCHEMA

# Devices and their fleets; '' is the fleet as a whole.
ENTITIES = [("acme", None), ("acme", "press-1"), ("acme", 'press "2", new'), ("zeta", None), ("zeta", "d-1")]
METRICS = [("cpu_temp", "C", 0.5), ("vibration", "mm/s", None)]

# A row as a file has it, from the arrays that the database has; written independently of tier.
NARROW = """
    SELECT fleet_id, device_id, metric.name AS metric, unit, window_start AT TIME ZONE 'UTC' AS window_start,
           counts[i] AS count, means[i] AS avg, mins[i] AS min, maxs[i] AS max, p50s[i] AS p50, p95s[i] AS p95,
           sums[i] AS sum, m2s[i] AS m2,
           ARRAY(SELECT bin - (key::bigint << 32) - 2147483648
                 FROM unnest(bins) WITH ORDINALITY AS b (bin, n) WHERE bin >> 32 = key ORDER BY n) AS bins,
           ARRAY(SELECT bin_counts[n]
                 FROM unnest(bins) WITH ORDINALITY AS b (bin, n) WHERE bin >> 32 = key ORDER BY n) AS bin_counts
    FROM {store}
    JOIN entity USING (entity_key)
    CROSS JOIN LATERAL unnest(metric_keys) WITH ORDINALITY AS each (key, i)
    JOIN metric ON metric.metric_key = key
    WHERE window_start >= coalesce(%s::timestamptz, '-infinity')
"""

_FILL = """
    COPY {store} (
        entity_key, window_start, metric_keys, counts, means, m2s, sums, mins, maxs, p50s, p95s, bins, bin_counts
    ) FROM STDIN
"""


def prepare(connection: psycopg.Connection[Any]) -> None:
    """Make the entities and metrics that rollups are about."""
    for fleet_id, device_id in ENTITIES:
        connection.execute("INSERT INTO entity (fleet_id, device_id, shard) VALUES (%s, %s, 0)", (fleet_id, device_id))
    for metric in METRICS:
        connection.execute("INSERT INTO metric (name, unit, resolution) VALUES (%s, %s, %s)", metric)


def fill(connection: psycopg.Connection[Any], store: str, start: datetime, end: datetime, step: timedelta) -> None:
    """Make a rollup for every entity and every window of a span, and the partitions they lie in."""
    for day in range((end - start).days + 1):
        connection.execute("SELECT ensure_partition(%s, %s)", (store, start + timedelta(days=day)))
    chance = Random(store)
    with connection.cursor() as cursor, cursor.copy(_FILL.format(store=store)) as copy:
        for number in range((end - start) // step):
            for entity_key in range(1, len(ENTITIES) + 1):
                copy.write_row((entity_key, start + number * step, *_numbers(chance)))


def _numbers(chance: Random) -> Iterator[list[Any]]:
    """Make up one or two metrics of a window."""
    keys = chance.choice([[1], [2], [1, 2], [1, 2]])
    counts = [chance.randint(2, 12) for _ in keys]
    means = [chance.uniform(-50, 50) for _ in keys]
    yield from (keys, counts, means)
    yield [chance.expovariate(0.1) for _ in keys]
    yield [mean * count for mean, count in zip(means, counts, strict=True)]
    for offset in (-3, 3, 0.1, 2.5):
        yield [mean + offset for mean in means]
    bins = [(key, chance.randint(-4000, 0), chance.randint(1, 4000)) for key in keys]
    yield [(key << 32) + 2**31 + one for key, low, high in bins for one in (low, high)]
    yield [part for count in counts for part in (1, count - 1)]


def in_database(connection: psycopg.Connection[Any], store: str, floor: datetime | None) -> list[dict[str, Any]]:
    """Return what readers find in the database: what starts at the floor or after it."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(NARROW.format(store=store), (floor,)).fetchall()


def in_file(data: bytes) -> list[dict[str, Any]]:
    """Return the rows of a file."""
    table = pq.read_table(BytesIO(data), schema=SCHEMA)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def by_window(rows: list[dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Order rows by what identifies them; a second copy of one is an error."""
    found = {(row["fleet_id"], row["device_id"], row["metric"], row["window_start"]): row for row in rows}
    assert len(found) == len(rows), "a row was found twice"
    return found
