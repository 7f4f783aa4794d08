-- Marks the minutes that changed, of devices and of their fleet; or all of the hour's, to compute them again.
WITH minutes AS (
    SELECT DISTINCT entity_key, shard, date_trunc('minute', effective_time, 'UTC') AS minute
    FROM touched
    UNION
    SELECT DISTINCT s.entity_key, s.shard, date_trunc('minute', s.effective_time, 'UTC')
    FROM sample AS s
    INNER JOIN entity AS e ON e.entity_key = s.entity_key
    WHERE
        %(reprocess)s
        AND s.shard = %(shard)s
        AND s.effective_time >= %(since)s
        AND s.effective_time < %(until)s
        AND (%(fleet)s::text IS NULL OR e.fleet_id = %(fleet)s)
        AND (%(devices)s::text [] IS NULL OR e.device_id = ANY(%(devices)s::text []))
)

INSERT INTO dirty (resolution, shard, window_start, entity_key)
SELECT '1m', shard, minute, entity_key FROM minutes
UNION
SELECT '1m', fleet.shard, minutes.minute, fleet.entity_key
FROM minutes
INNER JOIN entity AS device ON device.entity_key = minutes.entity_key
INNER JOIN entity AS fleet ON fleet.fleet_id = device.fleet_id AND fleet.device_id IS NULL
