SELECT c.entity_key, c.window_start, r.metric_keys, r.counts, r.m2s, r.sums, r.mins, r.maxs, r.bins, r.bin_counts
FROM unnest(%(entities)s::bigint [], %(windows)s::timestamptz []) AS c (entity_key, window_start)
CROSS JOIN LATERAL (
    SELECT *
    FROM {source} AS source
    WHERE
        source.entity_key = c.entity_key
        AND source.window_start >= c.window_start
        AND source.window_start < c.window_start + %(width)s
    OFFSET 0
) AS r
