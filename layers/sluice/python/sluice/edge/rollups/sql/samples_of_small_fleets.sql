-- Device by device: for a fleet with few devices, reading the whole minute would cost more.
SELECT c.entity_key, c.window_start, s.metric_keys, s.readings
FROM unnest(%(entities)s::bigint [], %(fleets)s::text [], %(windows)s::timestamptz [])
    AS c (entity_key, fleet_id, window_start)
INNER JOIN entity AS e ON e.fleet_id = c.fleet_id AND e.device_id IS NOT NULL
CROSS JOIN LATERAL (
    SELECT sample.metric_keys, sample.readings
    FROM {source} AS sample
    WHERE
        sample.entity_key = e.entity_key
        AND sample.effective_time >= c.window_start
        AND sample.effective_time < c.window_start + interval '1 minute'
    OFFSET 0
) AS s
