-- Minute by minute, for all its shards at once: their samples share pages. OFFSET 0 forces a lookup for each minute, also
-- in a partition for which the planner has no statistics.
SELECT s.entity_key, w.window_start, s.metric_keys, s.readings
FROM (
    SELECT c.window_start, array_agg(c.shard) AS shards
    FROM unnest(%(shards)s::smallint [], %(windows)s::timestamptz []) AS c (shard, window_start)
    GROUP BY c.window_start
) AS w
CROSS JOIN LATERAL (
    SELECT sample.entity_key, sample.metric_keys, sample.readings
    FROM {source} AS sample
    WHERE
        sample.shard = ANY(w.shards)
        AND sample.effective_time >= w.window_start
        AND sample.effective_time < w.window_start + interval '1 minute'
    OFFSET 0
) AS s
