-- Every sample of a minute is read once, for all fleets: OFFSET 0 keeps the planner from doing it again for each fleet.
SELECT s.entity_key, w.window_start, s.metric_keys, s.readings
FROM (SELECT DISTINCT window_start FROM unnest(%(windows)s::timestamptz []) AS w (window_start)) AS w
CROSS JOIN LATERAL (
    SELECT c.entity_key, r.metric_keys, r.readings
    FROM (
        SELECT sample.entity_key, sample.metric_keys, sample.readings
        FROM {source} AS sample
        WHERE
            sample.shard = ANY(ARRAY(SELECT shard.shard FROM shard))
            AND sample.effective_time >= w.window_start
            AND sample.effective_time < w.window_start + interval '1 minute'
        OFFSET 0
    ) AS r
    INNER JOIN entity AS e ON e.entity_key = r.entity_key
    INNER JOIN (
        SELECT claim.entity_key, claim.fleet_id
        FROM unnest(%(entities)s::bigint [], %(fleets)s::text [], %(windows)s::timestamptz [])
            AS claim (entity_key, fleet_id, window_start)
        WHERE claim.window_start = w.window_start
        OFFSET 0
    ) AS c ON c.fleet_id = e.fleet_id
    OFFSET 0
) AS s
