-- Computes the baselines of devices from their hours: of those of a shard, or of some.
-- Arrays are unnested in the select list: in FROM, the elements of each row would be stored before they are read.
WITH device AS MATERIALIZED (
    SELECT entity_key, shard, first_seen_at
    FROM entity
    WHERE device_id IS NOT NULL AND (shard = %(shard)s::smallint OR entity_key = ANY(%(entities)s::bigint []))
),

-- The newest firmware that a device has reported until then, and since when it has it.
change AS (
    SELECT DISTINCT ON (s.entity_key) s.entity_key, s.firmware, s.first_seen_at AS changed_at
    FROM device AS d
    INNER JOIN sighting AS s ON s.entity_key = d.entity_key
    WHERE s.firmware <> '' AND s.first_seen_at < %(until)s
    ORDER BY s.entity_key, s.first_seen_at DESC
),

reading_hour AS MATERIALIZED (
    SELECT
        h.entity_key,
        h.window_start,
        d.first_seen_at,
        unnest(h.metric_keys) AS metric_key,
        unnest(h.counts) AS count,
        unnest(h.means) AS mean,
        unnest(h.m2s) AS m2,
        unnest(h.mins) AS low,
        unnest(h.maxs) AS high
    FROM device AS d
    INNER JOIN rollup_1h AS h
        ON h.entity_key = d.entity_key AND h.window_start >= %(since)s AND h.window_start < %(until)s
),

-- Whether the level of a series changed with the firmware: the hours after it are away from those before it.
restart AS (
    SELECT r.entity_key, r.metric_key, c.firmware, c.changed_at
    FROM reading_hour AS r
    INNER JOIN change AS c ON c.entity_key = r.entity_key AND c.changed_at > %(since)s
    GROUP BY r.entity_key, r.metric_key, c.firmware, c.changed_at
    HAVING
        count(*) FILTER (WHERE r.window_start < c.changed_at) >= %(hours_before)s
        AND count(*) FILTER (WHERE r.window_start >= c.changed_at) >= %(hours_after)s
        AND abs(
            avg(r.mean) FILTER (WHERE r.window_start >= c.changed_at)
            - avg(r.mean) FILTER (WHERE r.window_start < c.changed_at)
        ) > %(deviations)s * stddev_pop(r.mean) FILTER (WHERE r.window_start < c.changed_at)
),

usual_hour AS MATERIALIZED (
    SELECT
        r.entity_key,
        r.metric_key,
        r.window_start,
        r.count,
        r.mean,
        r.m2,
        r.low,
        r.high,
        greatest(%(since)s, r.first_seen_at, x.changed_at) AS since,
        x.firmware AS restarted_by,
        extract(HOUR FROM r.window_start AT TIME ZONE 'UTC')::integer AS hour,
        extract(ISODOW FROM r.window_start AT TIME ZONE 'UTC') > 5 AS weekend
    FROM reading_hour AS r
    LEFT JOIN restart AS x ON x.entity_key = r.entity_key AND x.metric_key = r.metric_key
    WHERE x.changed_at IS NULL OR r.window_start >= x.changed_at
),

cell AS MATERIALIZED (
    SELECT
        entity_key,
        metric_key,
        hour,
        weekend,
        count(*) AS hours,
        merged_moments(ARRAY[count, count * mean, m2]::double precision []) AS moments
    FROM usual_hour
    GROUP BY entity_key, metric_key, hour, weekend
),

day_hour AS (
    SELECT entity_key, metric_key, hour, sum(hours) AS hours, merged_moments(moments) AS moments
    FROM cell
    GROUP BY entity_key, metric_key, hour
),

series AS (
    SELECT
        entity_key,
        metric_key,
        min(since) AS since,
        min(restarted_by) AS restarted_by,
        count(*) AS hours,
        count(DISTINCT (window_start AT TIME ZONE 'UTC')::date) AS days,
        merged_moments(ARRAY[count, count * mean, m2]::double precision []) AS moments,
        min(low) AS low,
        max(high) AS high,
        avg(mean) AS hour_mean,
        stddev_pop(mean) AS hour_deviation,
        min(sqrt(greatest(m2, 0) / count)) FILTER (WHERE count >= %(readings)s) AS least_deviation,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY 3600.0 / count) AS interval_seconds
    FROM usual_hour
    GROUP BY entity_key, metric_key
),

-- Between the minutes of a day that have readings. A device that sends in bursts is not silent between two of them.
gap AS (
    SELECT entity_key, percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS seconds
    FROM (
        SELECT
            m.entity_key,
            extract(EPOCH FROM m.window_start - lag(m.window_start) OVER (
                PARTITION BY m.entity_key ORDER BY m.window_start
            ))::double precision AS seconds
        FROM device AS d
        INNER JOIN rollup_1m AS m
            ON
                m.entity_key = d.entity_key
                AND m.window_start >= %(until)s - INTERVAL '1 day' AND m.window_start < %(until)s
    ) AS minute
    WHERE seconds IS NOT NULL
    GROUP BY entity_key
),

active AS (
    SELECT d.entity_key, d.metric_key, bit_or(1 << d.hour) AS hours
    FROM day_hour AS d
    INNER JOIN series AS s ON s.entity_key = d.entity_key AND s.metric_key = d.metric_key
    WHERE d.hours * 2 >= s.days
    GROUP BY d.entity_key, d.metric_key
),

chosen AS (
    SELECT
        s.entity_key,
        s.metric_key,
        place.number,
        CASE
            WHEN c.hours >= 2 AND c.moments[1] >= %(readings)s THEN c.moments
            WHEN h.hours >= 2 AND h.moments[1] >= %(readings)s THEN h.moments
            ELSE s.moments
        END AS moments
    FROM series AS s
    CROSS JOIN generate_series(0, 47) AS place (number)
    LEFT JOIN cell AS c
        ON
            c.entity_key = s.entity_key AND c.metric_key = s.metric_key
            AND c.hour = place.number %% 24 AND c.weekend = (place.number >= 24)
    LEFT JOIN day_hour AS h
        ON h.entity_key = s.entity_key AND h.metric_key = s.metric_key AND h.hour = place.number %% 24
),

cells AS (
    SELECT
        entity_key,
        metric_key,
        array_agg(moments[1]::bigint ORDER BY number) AS counts,
        array_agg(moments[2] / moments[1] ORDER BY number) AS means,
        array_agg(sqrt(greatest(moments[3], 0) / moments[1]) ORDER BY number) AS deviations
    FROM chosen
    GROUP BY entity_key, metric_key
)

SELECT
    s.entity_key,
    s.metric_key,
    d.shard,
    %(now)s::timestamptz AS computed_at,
    s.since,
    s.restarted_by,
    c.counts,
    c.means,
    c.deviations,
    s.low,
    s.high,
    s.hours AS hour_count,
    s.hour_mean,
    s.hour_deviation,
    coalesce(s.least_deviation, 0) AS least_deviation,
    s.interval_seconds,
    coalesce(g.seconds, s.interval_seconds) AS gap_seconds,
    coalesce(a.hours, 0) AS active_hours
FROM series AS s
INNER JOIN device AS d ON d.entity_key = s.entity_key
INNER JOIN cells AS c ON c.entity_key = s.entity_key AND c.metric_key = s.metric_key
LEFT JOIN gap AS g ON g.entity_key = s.entity_key
LEFT JOIN active AS a ON a.entity_key = s.entity_key AND a.metric_key = s.metric_key
ORDER BY s.entity_key, s.metric_key
