SELECT c.entity_key, c.window_start, s.metric_keys, s.readings
FROM unnest(%(entities)s::bigint [], %(windows)s::timestamptz []) AS c (entity_key, window_start)
CROSS JOIN LATERAL (
    SELECT sample.metric_keys, sample.readings
    FROM {source} AS sample
    WHERE
        sample.entity_key = c.entity_key
        AND sample.effective_time >= c.window_start
        AND sample.effective_time < c.window_start + interval '1 minute'
    OFFSET 0
) AS s
