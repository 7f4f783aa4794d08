-- The numbers of windows with many readings each, by counting equal ones.
-- Sensors have a limited resolution: a hundred thousand readings have only a few hundred distinct values.
counted AS (
    SELECT entity_key, window_start, metric_key, reading, count(*) AS count
    FROM (
        SELECT entity_key, window_start, unnest(metric_keys) AS metric_key, unnest(readings) AS reading
        FROM claimed
    ) AS readings
    GROUP BY 1, 2, 3, 4
),

ranked AS MATERIALIZED (
    SELECT
        *,
        (sum(count) OVER own)::double precision AS total,
        sum(count) OVER (own ORDER BY reading) AS up_to
    FROM counted
    WINDOW own AS (PARTITION BY entity_key, window_start, metric_key)
),

placed AS (
    SELECT *, 0.5::double precision * (total - 1) AS p50_place, 0.95::double precision * (total - 1) AS p95_place
    FROM ranked
),

ordered AS (
    SELECT
        entity_key,
        window_start,
        metric_key,
        total,
        p50_place,
        p95_place,
        -- Squares and means by the server's own aggregates: with operators, an underflow would be an error.
        merged_moments(ARRAY[count, count * reading, 0]) AS moments,
        min(reading) AS min,
        max(reading) AS max,
        min(reading) FILTER (WHERE up_to > floor(p50_place)) AS p50_below,
        min(reading) FILTER (WHERE up_to > ceil(p50_place)) AS p50_above,
        min(reading) FILTER (WHERE up_to > floor(p95_place)) AS p95_below,
        min(reading) FILTER (WHERE up_to > ceil(p95_place)) AS p95_above
    FROM placed
    GROUP BY entity_key, window_start, metric_key, total, p50_place, p95_place
),

-- Interpolated as percentile_cont does, except between readings so close that a part of their distance could underflow.
numbers AS (
    SELECT
        entity_key,
        window_start,
        array_agg(metric_key ORDER BY metric_key) AS metric_keys,
        array_agg(total::bigint ORDER BY metric_key) AS counts,
        array_agg(float8_avg(moments) ORDER BY metric_key) AS means,
        array_agg(moments[3] ORDER BY metric_key) AS m2s,
        array_agg(moments[2] ORDER BY metric_key) AS sums,
        array_agg(min ORDER BY metric_key) AS mins,
        array_agg(max ORDER BY metric_key) AS maxs,
        array_agg(
            p50_below + CASE
                WHEN p50_above - p50_below > 1e-307 THEN (p50_place - floor(p50_place)) * (p50_above - p50_below)
                ELSE 0
            END
            ORDER BY metric_key
        ) AS p50s,
        array_agg(
            p95_below + CASE
                WHEN p95_above - p95_below > 1e-307 THEN (p95_place - floor(p95_place)) * (p95_above - p95_below)
                ELSE 0
            END
            ORDER BY metric_key
        ) AS p95s
    FROM ordered
    GROUP BY entity_key, window_start
),

binned AS (
    SELECT
        r.entity_key,
        r.window_start,
        (r.metric_key::bigint << 32) + bin_of(r.reading, m.resolution) + 2147483648 AS bin,
        sum(r.count)::bigint AS count
    FROM ranked AS r
    INNER JOIN metric AS m ON m.metric_key = r.metric_key
    GROUP BY 1, 2, 3
),

digest AS (
    SELECT
        entity_key,
        window_start,
        array_agg(bin ORDER BY bin) AS bins,
        array_agg(count ORDER BY bin) AS bin_counts
    FROM binned
    GROUP BY entity_key, window_start
),
