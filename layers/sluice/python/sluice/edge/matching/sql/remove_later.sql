-- Removes the sample of the later of two events with one id, if both have one, and marks its minute to be computed again.
-- A minute that its shard has not rolled yet is rolled as a whole; a rolled one only for the device.
WITH removed AS (
    DELETE FROM sample AS later
    WHERE
        later.entity_key = %(entity_key)s
        AND later.event_key = %(event_key)s
        AND later.effective_time = %(later)s
        AND EXISTS (
            SELECT FROM sample AS first
            WHERE
                first.entity_key = %(entity_key)s
                AND first.event_key = %(event_key)s
                AND first.effective_time = %(first)s
        )
    RETURNING entity_key, shard, date_trunc('minute', effective_time, 'UTC') AS minute
)

INSERT INTO dirty (resolution, shard, window_start, entity_key)
SELECT '1m', shard, minute, CASE WHEN minute < closed_until THEN entity_key END
FROM removed
INNER JOIN shard USING (shard)
UNION
SELECT '1m', fleet.shard, minute, fleet.entity_key
FROM removed
INNER JOIN entity AS device USING (entity_key)
INNER JOIN entity AS fleet ON fleet.fleet_id = device.fleet_id AND fleet.device_id IS NULL
