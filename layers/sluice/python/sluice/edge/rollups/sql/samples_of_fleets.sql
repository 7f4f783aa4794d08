-- Every sample of a minute is read once, for all fleets.
SELECT c.entity_key, c.window_start, s.metric_keys, s.readings
FROM (SELECT DISTINCT window_start FROM unnest(%(windows)s::timestamptz []) AS w (window_start)) AS w
CROSS JOIN LATERAL (
    SELECT sample.entity_key, sample.metric_keys, sample.readings
    FROM sample
    WHERE
        sample.shard = ANY(ARRAY(SELECT shard.shard FROM shard))
        AND sample.effective_time >= w.window_start
        AND sample.effective_time < w.window_start + interval '1 minute'
    OFFSET 0
) AS s
INNER JOIN entity AS e ON e.entity_key = s.entity_key
INNER JOIN unnest(%(entities)s::bigint [], %(fleets)s::text [], %(windows)s::timestamptz [])
    AS c (entity_key, fleet_id, window_start)
    ON c.fleet_id = e.fleet_id AND c.window_start = w.window_start
