-- OFFSET 0 forces a lookup claim by claim, also in a partition for which the planner has no statistics.
SELECT s.entity_key, c.window_start, s.metric_keys, s.readings
FROM unnest(%(shards)s::smallint [], %(windows)s::timestamptz []) AS c (shard, window_start)
CROSS JOIN LATERAL (
    SELECT sample.entity_key, sample.metric_keys, sample.readings
    FROM sample
    WHERE
        sample.shard = c.shard
        AND sample.effective_time >= c.window_start
        AND sample.effective_time < c.window_start + interval '1 minute'
    OFFSET 0
) AS s
