-- Marks the day of a recomputed hour for its devices and fleets: roll merges it again from its hours.
INSERT INTO dirty (resolution, shard, window_start, entity_key)
SELECT '1d', e.shard, %(day)s, e.entity_key
FROM entity AS e
WHERE
    e.entity_key = ANY(%(entities)s::bigint [])
    AND NOT EXISTS (
        SELECT FROM dirty AS d
        WHERE
            d.resolution = '1d'
            AND d.shard = e.shard
            AND d.window_start = %(day)s
            AND d.entity_key = e.entity_key
    )
