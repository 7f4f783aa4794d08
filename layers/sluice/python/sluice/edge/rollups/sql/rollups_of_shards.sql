SELECT e.entity_key, c.window_start, r.metric_keys, r.counts, r.m2s, r.sums, r.mins, r.maxs, r.bins, r.bin_counts
FROM unnest(%(shards)s::smallint [], %(windows)s::timestamptz []) AS c (shard, window_start)
INNER JOIN entity AS e ON e.shard = c.shard AND e.device_id IS NOT NULL
CROSS JOIN LATERAL (
    SELECT *
    FROM {source} AS source
    WHERE
        source.entity_key = e.entity_key
        AND source.window_start >= c.window_start
        AND source.window_start < c.window_start + %(width)s
    OFFSET 0
) AS r
