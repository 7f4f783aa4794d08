"""Rows as roll and aggregate write them, for tests of their readers."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg

from sluice.core.samples.shards import shard_of

Connection = psycopg.Connection[tuple[Any, ...]]
Readings = Mapping[str, Sequence[float]]

METRICS = {"cpu_temp": ("degC", 0.1), "humidity": ("%RH", 0.1), "odd": ("count", None)}


def add_entity(connection: Connection, fleet_id: str, device_id: str | None) -> int:
    """Add a device, or the fleet as a whole, unless it exists."""
    row = connection.execute(
        "INSERT INTO entity (fleet_id, device_id, shard) VALUES (%s, %s, %s)"
        " ON CONFLICT (fleet_id, device_id) DO UPDATE SET shard = excluded.shard RETURNING entity_key",
        (fleet_id, device_id, shard_of(fleet_id, device_id)),
    ).fetchone()
    assert row is not None
    return int(row[0])


def add_metrics(connection: Connection) -> dict[str, int]:
    """Add the metrics and return their keys."""
    for name, (unit, resolution) in METRICS.items():
        connection.execute(
            "INSERT INTO metric (name, unit, resolution) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (name, unit, resolution),
        )
    return dict(connection.execute("SELECT name, metric_key FROM metric").fetchall())


def add_sample(
    connection: Connection, entity_key: int, moment: datetime, readings: Mapping[str, float], keys: Mapping[str, int]
) -> None:
    """Add one event's readings."""
    connection.execute("SELECT ensure_partitions('sample', %s, %s)", (moment, moment))
    connection.execute(
        "INSERT INTO sample (entity_key, event_key, effective_time, shard, metric_keys, readings)"
        " SELECT entity_key, gen_random_uuid(), %s, shard, %s::smallint[], %s::float8[]"
        " FROM entity WHERE entity_key = %s",
        (moment, [keys[name] for name in readings], list(readings.values()), entity_key),
    )


def add_window(
    connection: Connection,
    resolution: str,
    entity_key: int,
    start: datetime,
    readings: Readings,
    keys: Mapping[str, int],
) -> None:
    """Add the row of a window with these readings, computed by the database."""
    if resolution != "1d":
        connection.execute("SELECT ensure_partitions(%s, %s, %s)", (f"rollup_{resolution}", start, start))
    pairs = [(keys[name], reading) for name, values in readings.items() for reading in values]
    connection.execute(
        f"""
        WITH reading AS (SELECT * FROM unnest(%(keys)s::smallint[], %(values)s::float8[]) AS r (metric_key, reading)),
        number AS (
            SELECT metric_key, count(*) AS count, avg(reading) AS mean, coalesce(var_pop(reading), 0) * count(*) AS m2,
                sum(reading) AS sum, min(reading) AS min, max(reading) AS max,
                percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY reading) AS p
            FROM reading GROUP BY metric_key
        ),
        binned AS (
            SELECT (metric_key::bigint << 32) + bin_of(reading, resolution) + 2147483648 AS bin, count(*) AS count
            FROM reading JOIN metric USING (metric_key) GROUP BY 1
        )
        INSERT INTO rollup_{resolution} (
            entity_key, window_start, metric_keys, counts, means, m2s, sums, mins, maxs, p50s, p95s, bins, bin_counts
        )
        SELECT %(entity)s, %(start)s, array_agg(metric_key ORDER BY metric_key), array_agg(count ORDER BY metric_key),
            array_agg(mean ORDER BY metric_key), array_agg(m2 ORDER BY metric_key), array_agg(sum ORDER BY metric_key),
            array_agg(min ORDER BY metric_key), array_agg(max ORDER BY metric_key),
            array_agg(p[1] ORDER BY metric_key), array_agg(p[2] ORDER BY metric_key),
            (SELECT array_agg(bin ORDER BY bin) FROM binned), (SELECT array_agg(count ORDER BY bin) FROM binned)
        FROM number
        """,
        {
            "keys": [key for key, _ in pairs],
            "values": [reading for _, reading in pairs],
            "entity": entity_key,
            "start": start,
        },
    )


def close(connection: Connection, until: datetime, shards: Iterable[int] | None = None) -> None:
    """Say that minutes are rolled up to a moment."""
    wanted = list(range(64)) if shards is None else list(shards)
    connection.execute("UPDATE shard SET closed_until = %s WHERE shard = ANY(%s)", (until, wanted))


def add_baseline(connection: Connection, entity_key: int, metric_key: int, since: datetime) -> None:
    """Add a baseline whose mean is the number of its cell: 1 to 24 on working days, 25 to 48 at the weekend."""
    connection.execute(
        "INSERT INTO baseline SELECT entity_key, %s, shard, %s, %s, NULL, cells.counts, cells.means, cells.deviations,"
        " 1, 48, 168, 24.5, 3, 1, 15, 60, 16777215 FROM entity CROSS JOIN (SELECT array_agg(60::bigint) AS counts,"
        " array_agg(number::float8 ORDER BY number) AS means, array_agg(2.0::float8) AS deviations"
        " FROM generate_series(1, 48) AS number) AS cells WHERE entity_key = %s",
        (metric_key, since, since, entity_key),
    )
