"""Reading rollups: what is known about the windows of a range, and their rows."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from sluice.core.limits import Limits
from sluice.core.query.completeness import Knowledge
from sluice.core.query.merging import DeviceRow
from sluice.core.query.paging import Page
from sluice.core.query.rollup_rows import RollupRow
from sluice.core.rollups.resolutions import RESOLUTIONS, WIDTHS, Resolution, floor_to
from sluice.edge.query.entities import Entity
from sluice.edge.query.reading import Reader, as_json

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)

_KEPT = """
    SELECT coalesce(json_object_agg(store, greatest(0, ceil(extract(epoch FROM floor)))::bigint), '{}')
    FROM horizon WHERE isfinite(floor)
"""

# Markers of finer windows count too: their new values reach the coarser ones a little later. A fleet's row has its own
# markers. The time before a partition's first records is unknown, and unreadable records do not say when they were
# received: gaps next to those have no bound on that side.
_KNOWN = """
    SELECT json_build_object(
        'closed_until', (
            SELECT floor(extract(epoch FROM min(closed_until)))::bigint FROM shard
            WHERE $5::boolean OR shard IN (SELECT json_array_elements_text($6::json)::smallint)
            HAVING isfinite(min(closed_until))
        ),
        'pending', (
            SELECT coalesce(json_agg(DISTINCT seconds - seconds % $3::bigint), '[]')
            FROM (
                SELECT extract(epoch FROM window_start)::bigint AS seconds FROM dirty
                WHERE resolution IN (SELECT json_array_elements_text($4::json))
                AND shard IN (SELECT json_array_elements_text($6::json)::smallint)
                AND (entity_key IS NULL OR entity_key IN (SELECT json_array_elements_text($7::json)::bigint))
                AND window_start >= to_timestamp($1::bigint) AND window_start < to_timestamp($2::bigint)
            ) AS marked
        ),
        'missing', (
            SELECT coalesce(json_agg(json_build_array(
                floor(extract(epoch FROM greatest(received_from, 'epoch')))::bigint,
                ceil(extract(epoch FROM coalesce(nullif(received_to, '-infinity'), now())))::bigint
            )), '[]')
            FROM gap LEFT JOIN coverage USING (consumer, topic, partition)
            WHERE consumer = 'aggregate' AND (given_up OR NOT gap.offsets <@ coalesce(coverage.offsets, '{}'))
        )
    )
"""

_ROWS = """
    SELECT coalesce(json_agg(json_build_array(
        extract(epoch FROM window_start)::bigint, metric_keys, counts, means, sums, mins, maxs, p50s, p95s
    ) ORDER BY window_start), '[]')
    FROM rollup_{resolution}
    WHERE entity_key = $1::bigint
    AND window_start >= to_timestamp($2::bigint) AND window_start < to_timestamp($3::bigint)
"""

# The sums of many devices, window by window. A set-returning function in the select list returns its elements one by
# one; in FROM, it would store each row's elements first, and take twice the time. The order of the rows keeps the
# counters of one window at hand, and gives floating-point sums the same value at every request.
_GROUP_ROWS = """
    WITH page AS MATERIALIZED (
        SELECT extract(epoch FROM window_start)::bigint AS seconds, *
        FROM rollup_{resolution}
        WHERE entity_key IN (SELECT json_array_elements_text($1::json)::bigint)
        AND window_start >= to_timestamp($2::bigint) AND window_start < to_timestamp($3::bigint)
        ORDER BY window_start, entity_key
    ),
    metrics AS (
        SELECT seconds, metric_key, sum(count)::bigint AS count, sum(total) AS total, min(low) AS low, max(high) AS high
        FROM (
            SELECT
                seconds, unnest(metric_keys) AS metric_key, unnest(counts) AS count, unnest(sums) AS total,
                unnest(mins) AS low, unnest(maxs) AS high
            FROM page
        ) AS numbers
        GROUP BY seconds, metric_key
    ),
    digests AS (
        SELECT seconds, array_agg(bin) AS bins, array_agg(count) AS bin_counts
        FROM (
            SELECT seconds, bin, sum(count)::bigint AS count
            FROM (SELECT seconds, unnest(bins) AS bin, unnest(bin_counts) AS count FROM page) AS bins
            GROUP BY seconds, bin
        ) AS binned
        GROUP BY seconds
    )
    SELECT coalesce(json_agg(json_build_array(
        seconds, metric_keys, counts, sums, mins, maxs, bins, bin_counts
    ) ORDER BY seconds), '[]')
    FROM (
        SELECT
            seconds, array_agg(metric_key) AS metric_keys, array_agg(count) AS counts, array_agg(total) AS sums,
            array_agg(low) AS mins, array_agg(high) AS maxs
        FROM metrics
        GROUP BY seconds
    ) AS windows
    JOIN digests USING (seconds)
"""

# The same numbers that roll will compute from the samples once their minutes are closed.
_OPEN = """
    SELECT coalesce(json_agg(json_build_array(
        seconds, metric_keys, counts, means, sums, mins, maxs, p50s, p95s
    ) ORDER BY seconds), '[]')
    FROM (
        SELECT
            seconds, array_agg(metric_key) AS metric_keys, array_agg(readings) AS counts, array_agg(mean) AS means,
            array_agg(total) AS sums, array_agg(low) AS mins, array_agg(high) AS maxs,
            array_agg(percentiles[1]) AS p50s, array_agg(percentiles[2]) AS p95s
        FROM (
            SELECT
                extract(epoch FROM date_trunc('minute', effective_time))::bigint AS seconds, metric_key,
                count(*) AS readings, avg(reading) AS mean, sum(reading) AS total, min(reading) AS low,
                max(reading) AS high, percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY reading) AS percentiles
            FROM sample CROSS JOIN LATERAL unnest(metric_keys, readings) AS one (metric_key, reading)
            WHERE entity_key = $1::bigint
            AND effective_time >= to_timestamp($2::bigint) AND effective_time < to_timestamp($3::bigint)
            GROUP BY 1, 2
        ) AS metrics
        GROUP BY seconds
    ) AS windows
"""


class _WindowFacts(msgspec.Struct, frozen=True):
    closed_until: int | None
    pending: list[int]
    missing: list[tuple[int, int]]


class RollupReader:
    """Reads windows from the database."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def kept_from(self) -> dict[Resolution, datetime]:
        """Return from when on the database has the rows of each resolution."""
        floors = self._reader.read(dict[str, int], _KEPT)
        return {each: _moment(floors.get(f"rollup_{each}", 0)) for each in RESOLUTIONS}

    def know(self, page: Page, entities: Sequence[Entity], kept_from: datetime) -> Knowledge:
        """Read the state of the windows of some entities."""
        width, limits = WIDTHS[page.resolution], Limits()
        finer = RESOLUTIONS[: RESOLUTIONS.index(page.resolution) + 1]
        found = self._reader.read(
            _WindowFacts,
            _KNOWN,
            _seconds(page.start),
            _seconds(page.end),
            str(int(width.total_seconds())),
            as_json(finer),
            # A fleet is complete once every shard is: its devices are spread over all shards.
            str(any(entity.device_id is None for entity in entities) or not entities).lower(),
            as_json(sorted({entity.shard for entity in entities})),
            as_json([entity.key for entity in entities]),
        )
        return Knowledge(
            None if found.closed_until is None else floor_to(_moment(found.closed_until), width),
            {_moment(window) for window in found.pending},
            # An event may count in a window before or after its reception, within these limits.
            [(_moment(first) - limits.late, _moment(last) + limits.clock_ahead) for first, last in found.missing],
            kept_from,
        )

    def read(self, resolution: Resolution, entity: Entity, start: datetime, end: datetime) -> list[RollupRow]:
        """Read the windows of one device or fleet."""
        sql = _ROWS.format(resolution=resolution)
        return self._reader.read(list[RollupRow], sql, str(entity.key), _seconds(start), _seconds(end))

    def read_group(
        self, resolution: Resolution, entities: Sequence[Entity], start: datetime, end: datetime
    ) -> list[DeviceRow]:
        """Read the sums of devices, a row for each window: their own rows would take longer to write and to read."""
        keys = as_json([entity.key for entity in entities])
        sql = _GROUP_ROWS.format(resolution=resolution)
        return self._reader.read(list[DeviceRow], sql, keys, _seconds(start), _seconds(end))

    def read_open(self, entity: Entity, start: datetime, end: datetime) -> list[RollupRow]:
        """Compute the minutes of a device that are not closed yet, from its samples."""
        return self._reader.read(list[RollupRow], _OPEN, str(entity.key), _seconds(start), _seconds(end))


def _moment(seconds: int) -> datetime:
    return ALWAYS + timedelta(seconds=seconds)


def _seconds(moment: datetime) -> str:
    return str(int(moment.timestamp()))
