-- The numbers of windows from their narrower windows: counts, sums and bins are added, moments are merged by Chan's
-- formula, and percentiles come from the bins.
number AS (
    SELECT
        entity_key,
        window_start,
        metric_key,
        merged_moments(ARRAY[count, sum, m2]) AS moments,
        min(min) AS min,
        max(max) AS max
    FROM (
        SELECT
            entity_key,
            window_start,
            unnest(metric_keys) AS metric_key,
            unnest(counts) AS count,
            unnest(sums) AS sum,
            unnest(m2s) AS m2,
            unnest(mins) AS min,
            unnest(maxs) AS max
        FROM claimed
    ) AS narrower
    GROUP BY entity_key, window_start, metric_key
),

binned AS (
    SELECT entity_key, window_start, bin, sum(count)::bigint AS count
    FROM (SELECT entity_key, window_start, unnest(bins) AS bin, unnest(bin_counts) AS count FROM claimed) AS bins
    GROUP BY entity_key, window_start, bin
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

ranked AS (
    SELECT
        *,
        (sum(count) OVER own)::double precision AS total,
        sum(count) OVER (own ORDER BY bin) AS up_to
    FROM binned
    WINDOW own AS (PARTITION BY entity_key, window_start, bin >> 32)
),

placed AS (
    SELECT *, 0.5::double precision * (total - 1) AS p50_place, 0.95::double precision * (total - 1) AS p95_place
    FROM ranked
),

ordered AS (
    SELECT
        entity_key,
        window_start,
        (bin >> 32)::smallint AS metric_key,
        p50_place - floor(p50_place) AS p50_part,
        p95_place - floor(p95_place) AS p95_part,
        min(bin) FILTER (WHERE up_to > floor(p50_place)) AS p50_below,
        min(bin) FILTER (WHERE up_to > ceil(p50_place)) AS p50_above,
        min(bin) FILTER (WHERE up_to > floor(p95_place)) AS p95_below,
        min(bin) FILTER (WHERE up_to > ceil(p95_place)) AS p95_above
    FROM placed
    GROUP BY entity_key, window_start, bin >> 32, p50_place, p95_place
),

estimated AS (
    SELECT
        o.entity_key,
        o.window_start,
        o.metric_key,
        o.p50_part,
        o.p95_part,
        bin_middle((o.p50_below & 4294967295) - 2147483648, m.resolution) AS p50_below,
        bin_middle((o.p50_above & 4294967295) - 2147483648, m.resolution) AS p50_above,
        bin_middle((o.p95_below & 4294967295) - 2147483648, m.resolution) AS p95_below,
        bin_middle((o.p95_above & 4294967295) - 2147483648, m.resolution) AS p95_above
    FROM ordered AS o
    INNER JOIN metric AS m ON m.metric_key = o.metric_key
),

-- Between the middles of two bins, and never beyond the measured extremes.
numbers AS (
    SELECT
        entity_key,
        window_start,
        array_agg(metric_key ORDER BY metric_key) AS metric_keys,
        array_agg(n.moments[1]::bigint ORDER BY metric_key) AS counts,
        array_agg(float8_avg(n.moments) ORDER BY metric_key) AS means,
        array_agg(n.moments[3] ORDER BY metric_key) AS m2s,
        array_agg(n.moments[2] ORDER BY metric_key) AS sums,
        array_agg(n.min ORDER BY metric_key) AS mins,
        array_agg(n.max ORDER BY metric_key) AS maxs,
        array_agg(
            greatest(n.min, least(n.max, e.p50_below + e.p50_part * (e.p50_above - e.p50_below)))
            ORDER BY metric_key
        ) AS p50s,
        array_agg(
            greatest(n.min, least(n.max, e.p95_below + e.p95_part * (e.p95_above - e.p95_below)))
            ORDER BY metric_key
        ) AS p95s
    FROM number AS n
    INNER JOIN estimated AS e USING (entity_key, window_start, metric_key)
    GROUP BY entity_key, window_start
),
