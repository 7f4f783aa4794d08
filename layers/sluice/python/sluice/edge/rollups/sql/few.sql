-- The numbers of windows with few readings each, by sorting.
-- A sample without metrics has no reading: a window without other samples gets no row.
-- Arrays are unnested in the select list: in FROM, the elements of each row would be stored before they are read.
reading AS MATERIALIZED (
    SELECT entity_key, window_start, unnest(metric_keys) AS metric_key, unnest(readings) AS reading
    FROM claimed
),

number AS (
    SELECT
        entity_key,
        window_start,
        metric_key,
        count(*) AS count,
        avg(reading) AS mean,
        var_pop(reading) * count(*) AS m2,
        sum(reading) AS sum,
        min(reading) AS min,
        max(reading) AS max,
        percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY reading) AS percentiles
    FROM reading
    GROUP BY entity_key, window_start, metric_key
),

numbers AS (
    SELECT
        entity_key,
        window_start,
        array_agg(metric_key ORDER BY metric_key) AS metric_keys,
        array_agg(count ORDER BY metric_key) AS counts,
        array_agg(mean ORDER BY metric_key) AS means,
        array_agg(m2 ORDER BY metric_key) AS m2s,
        array_agg(sum ORDER BY metric_key) AS sums,
        array_agg(min ORDER BY metric_key) AS mins,
        array_agg(max ORDER BY metric_key) AS maxs,
        array_agg(percentiles[1] ORDER BY metric_key) AS p50s,
        array_agg(percentiles[2] ORDER BY metric_key) AS p95s
    FROM number
    GROUP BY entity_key, window_start
),

binned AS (
    SELECT
        r.entity_key,
        r.window_start,
        (r.metric_key::bigint << 32) + bin_of(r.reading, m.resolution) + 2147483648 AS bin,
        count(*) AS count
    FROM reading AS r
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
