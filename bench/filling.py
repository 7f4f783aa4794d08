"""Fills a database as devices, aggregate and roll would have, by statements on whole sets.

Readings are made up. roll itself computes everything from them. Where the bench needs more windows than can be rolled
in a minute, it copies rolled ones. Each device gets windows of other devices, a different one's for each window, so
that merging them is realistic. All devices are alike for that.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from bench.stores import Connection
from sluice.core.rollups.resolutions import WIDTHS, Resolution
from sluice.core.samples.shards import SHARDS, shard_of
from sluice.edge.events.schemas import load_contracts
from sluice.edge.rollups.rolling import Rolling

METRICS = {
    "cpu_temp": (48.0, 0.5),
    "vibration_rms": (2.0, 0.1),
    "supply_voltage": (24.0, 0.05),
    "humidity": (42.0, 0.5),
}
"""The four that a device reports: about which reading, and how far from it. A machine that runs steadily keeps within
five or ten steps of its sensors, so that an hour of it is a few dozen bins for each metric."""
EVERY = timedelta(seconds=10)
"""How often a device reports."""
BATCH = 10_000

Span = tuple[datetime, datetime]

_SAMPLES = """
    INSERT INTO sample (entity_key, event_key, effective_time, shard, metric_keys, readings)
    SELECT
        entity_key, gen_random_uuid(),
        -- Each device reports in its own rhythm.
        reported + %(every)s * ((entity_key %% 9973) / 9973.0), shard,
        %(metric_keys)s, ARRAY[{readings}]
    FROM generate_series(%(start)s, %(end)s - %(every)s, %(every)s::interval) AS reported
    CROSS JOIN entity
    WHERE device_id IS NOT NULL
"""
_READING = "round(random_normal({mean}, {spread}) * {steps}) / {steps}"

_MARK_SAMPLES = """
    INSERT INTO dirty (resolution, shard, window_start, entity_key)
    SELECT DISTINCT '1m', shard, minute, CASE WHEN device_id IS NULL THEN entity_key END
    FROM entity
    CROSS JOIN generate_series(%(start)s, %(end)s - interval '1 minute', interval '1 minute') AS minute
"""

_POOL = """
    CREATE TEMPORARY TABLE pool AS
    SELECT
        row_number() OVER (PARTITION BY entity.device_id IS NULL ORDER BY random()) - 1 AS number,
        entity.device_id IS NULL AS of_fleet, {table}.*
    FROM {table} JOIN entity USING (entity_key)
    WHERE window_start >= %(start)s AND window_start < %(end)s
        AND (entity.device_id IS NULL OR entity.shard < %(shards)s)
"""

_COPY = """
    INSERT INTO {table} (
        entity_key, window_start, metric_keys, counts, means, m2s, sums, mins, maxs, p50s, p95s, bins, bin_counts
    )
    SELECT
        target.entity_key, each.window_start,
        metric_keys, counts, means, m2s, sums, mins, maxs, p50s, p95s, bins, bin_counts
    FROM generate_series(%(start)s, %(end)s - %(width)s, %(width)s::interval)
        WITH ORDINALITY AS each (window_start, place)
    CROSS JOIN (
        SELECT entity_key, device_id IS NULL AS of_fleet, row_number() OVER (ORDER BY entity_key) AS place
        FROM entity
        WHERE device_id IS NULL OR (shard < %(shards)s AND device_id < %(before)s)
    ) AS target
    JOIN pool ON pool.of_fleet = target.of_fleet
        AND pool.number = (target.place * 7919 + (each.place + %(turn)s) * 104729)
            %% CASE WHEN target.of_fleet THEN %(fleets)s ELSE %(devices)s END
    ORDER BY each.window_start, target.entity_key
    ON CONFLICT DO NOTHING
"""


def name_device(number: int) -> str:
    """Name one of a fleet's devices."""
    return f"press-{number:05d}"


def fill_entities(connection: Connection, fleets: Sequence[str], devices: int) -> None:
    """Make fleets with so many devices each, and the metrics that those report."""
    series = load_contracts().book.series
    with connection.transaction(), connection.cursor() as cursor:
        for fleet_id in fleets:
            cursor.execute("INSERT INTO fleet (fleet_id, events_per_second) VALUES (%s, 1000)", [fleet_id])
        with cursor.copy("COPY entity (fleet_id, device_id, shard) FROM STDIN") as copy:
            for fleet_id in fleets:
                for device_id in (None, *map(name_device, range(devices))):
                    copy.write_row((fleet_id, device_id, shard_of(fleet_id, device_id)))
        for name in METRICS:
            unit, resolution = series[name].unit, series[name].resolution
            cursor.execute("INSERT INTO metric (name, unit, resolution) VALUES (%s, %s, %s)", (name, unit, resolution))
    connection.execute("ANALYZE entity, metric")


def fill_samples(connection: Connection, start: datetime, end: datetime) -> None:
    """Let every device report from one moment to another, and mark the minutes."""
    connection.execute("SELECT ensure_partitions('sample', %s, %s)", [start, end])
    series = load_contracts().book.series
    readings = ", ".join(
        _READING.format(mean=mean, spread=spread, steps=f"{1 / series[name].resolution:.1f}")
        for name, (mean, spread) in METRICS.items()
    )
    keys: dict[str, int] = dict(connection.execute("SELECT name, metric_key FROM metric").fetchall())
    span = {"start": start, "end": end, "every": EVERY}
    with connection.transaction():
        connection.execute(_SAMPLES.format(readings=readings), span | {"metric_keys": [keys[name] for name in METRICS]})
        connection.execute(_MARK_SAMPLES, span)


def fill_windows(
    connection: Connection,
    resolution: Resolution,
    rolled: Span,
    wanted: Sequence[Span],
    *,
    from_shards: int = SHARDS,
    to_shards: int = SHARDS,
    devices: int | None = None,
) -> None:
    """Copy rolled windows to other times: device windows from and to so many shards, or to so few devices."""
    table, width = f"rollup_{resolution}", WIDTHS[resolution]
    if resolution != "1d":
        for start, end in wanted:
            connection.execute("SELECT ensure_partitions(%s, %s, %s)", [table, start, end - width])
    connection.execute(_POOL.format(table=table), {"start": rolled[0], "end": rolled[1], "shards": from_shards})
    connection.execute("CREATE INDEX ON pool (of_fleet, number); ANALYZE pool")
    counted: dict[bool, int] = dict(connection.execute("SELECT of_fleet, count(*) FROM pool GROUP BY 1").fetchall())
    before = "~" if devices is None else name_device(devices)
    # A statement for about so many rows: sorting more of them would take the disk.
    ((rows,),) = connection.execute(
        "SELECT count(*) FROM entity WHERE shard < %s AND device_id < %s", [to_shards, before]
    ).fetchall()
    step = width * max(1, BATCH // max(1, rows))
    copied = {"width": width, "shards": to_shards, "before": before, "fleets": counted[True], "devices": counted[False]}
    turn = 0
    for start, end in (part for span in wanted for part in split(span, step)):
        connection.execute(_COPY.format(table=table), copied | {"start": start, "end": end, "turn": turn})
        turn += (end - start) // width
    connection.execute("DROP TABLE pool")


def split(span: Span, step: timedelta) -> Iterator[Span]:
    """Split a span into steps."""
    start, last = span
    while start < last:
        end = min(start + step, last)
        yield start, end
        start = end


def mark_window(connection: Connection, resolution: Resolution, window: datetime, shards: int) -> None:
    """Mark an hour or a day of the devices of some shards, and of every fleet."""
    connection.execute("DELETE FROM dirty WHERE resolution = %s", [resolution])
    connection.execute(
        """
        INSERT INTO dirty (resolution, shard, window_start, entity_key, marked_at)
        SELECT DISTINCT %(resolution)s, shard, %(window)s, CASE WHEN device_id IS NULL THEN entity_key END, %(window)s
        FROM entity WHERE device_id IS NULL OR shard < %(shards)s
        """,
        {"resolution": resolution, "window": window, "shards": shards},
    )


def roll_all(rolling: Rolling, watermark: datetime, shards: int = SHARDS) -> int:
    """Roll every closed minute, so many shards at a time; return the number of windows."""
    windows = 0
    while (rolled := rolling.roll_minutes(watermark, shards)).shards:
        windows += rolled.windows
    return windows


def roll_wider(rolling: Rolling, resolution: Resolution) -> int:
    """Roll every marked hour or day; return the number of windows."""
    windows = 0
    while (rolled := rolling.roll_wider(resolution)).shards:
        windows += rolled.windows
    return windows
