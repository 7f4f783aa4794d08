-- Reads what is usual now for the series of a shard's devices: a row for each series that had readings lately or has a
-- baseline. Everything is relative to %(until)s, up to when the shard's minutes are rolled.
WITH device AS MATERIALIZED (
    SELECT entity_key, fleet_id, device_id, first_seen_at
    FROM entity
    WHERE shard = %(shard)s AND device_id IS NOT NULL
),

minute AS MATERIALIZED (
    SELECT
        m.entity_key,
        m.window_start,
        unnest(m.metric_keys) AS metric_key,
        unnest(m.counts) AS count,
        unnest(m.means) AS mean,
        unnest(m.m2s) AS m2
    FROM device AS d
    INNER JOIN rollup_1m AS m
        ON
            m.entity_key = d.entity_key
            AND m.window_start >= %(until)s - INTERVAL '1 hour' AND m.window_start < %(until)s
),

recent AS MATERIALIZED (
    SELECT
        entity_key,
        metric_key,
        merged_moments(ARRAY[count, count * mean, m2]::double precision []) AS moments,
        max(window_start) AS last_minute
    FROM minute
    GROUP BY entity_key, metric_key
),

-- A series with few readings in an hour takes a day of them.
slow_hour AS (
    SELECT
        r.entity_key,
        r.metric_keys,
        unnest(h.metric_keys) AS metric_key,
        unnest(h.counts) AS count,
        unnest(h.means) AS mean,
        unnest(h.m2s) AS m2
    FROM (
        SELECT entity_key, array_agg(metric_key) AS metric_keys
        FROM recent
        WHERE moments[1] < %(readings)s
        GROUP BY entity_key
    ) AS r
    INNER JOIN rollup_1h AS h
        ON
            h.entity_key = r.entity_key
            AND h.window_start >= %(until)s - INTERVAL '25 hours' AND h.window_start < %(until)s
),

slow AS (
    SELECT
        entity_key,
        metric_key,
        merged_moments(ARRAY[count, count * mean, m2]::double precision []) AS moments
    FROM slow_hour
    WHERE metric_key = ANY(metric_keys)
    GROUP BY entity_key, metric_key
),

sighted AS (
    SELECT
        d.entity_key,
        max(s.last_seen_at) AS last_seen_at,
        max(s.first_seen_at) FILTER (WHERE s.firmware <> '') AS changed_at
    FROM device AS d
    INNER JOIN sighting AS s ON s.entity_key = d.entity_key
    GROUP BY d.entity_key
)

SELECT
    d.fleet_id,
    d.device_id,
    t.device_type,
    m.name AS metric,
    coalesce(slow.moments, recent.moments) AS moments,
    recent.moments AS hour_moments,
    recent.last_minute,
    seen.last_seen_at,
    -- Learned: the device and its level were there for long enough; and no firmware that came since has moved the level.
    b.entity_key IS NOT NULL
    AND b.since <= %(until)s - %(learning)s
    AND d.first_seen_at <= %(until)s - %(learning)s
    AND NOT coalesce(
        seen.changed_at > b.computed_at - %(unnoticed)s
        AND seen.changed_at > d.first_seen_at
        AND abs(recent.moments[2] / recent.moments[1] - b.hour_mean) > %(deviations)s * b.hour_deviation,
        FALSE
    ) AS learned,
    b.counts,
    b.means,
    b.deviations,
    b.low,
    b.high,
    b.hour_count,
    b.hour_mean,
    b.hour_deviation,
    b.least_deviation,
    b.interval_seconds,
    b.gap_seconds,
    b.active_hours
FROM device AS d
INNER JOIN (
    SELECT entity_key, metric_key FROM recent
    UNION
    SELECT entity_key, metric_key FROM baseline WHERE shard = %(shard)s
) AS series ON series.entity_key = d.entity_key
INNER JOIN metric AS m ON m.metric_key = series.metric_key
LEFT JOIN recent ON recent.entity_key = series.entity_key AND recent.metric_key = series.metric_key
LEFT JOIN slow ON slow.entity_key = series.entity_key AND slow.metric_key = series.metric_key
LEFT JOIN baseline AS b ON b.entity_key = series.entity_key AND b.metric_key = series.metric_key
LEFT JOIN sighted AS seen ON seen.entity_key = d.entity_key
LEFT JOIN device_type AS t ON t.fleet_id = d.fleet_id AND t.device_id = d.device_id COLLATE "C"
ORDER BY d.fleet_id, d.device_id, m.name
