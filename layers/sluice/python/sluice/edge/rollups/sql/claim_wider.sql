-- Deletes the markers of a shard's due wider windows, the longest waiting first: the whole shard's, or as many single
-- ones.
WITH waiting AS (
    SELECT
        d.window_start,
        d.entity_key,
        CASE WHEN d.entity_key IS NULL THEN 1000 ELSE 1 END AS weight,
        min(d.marked_at) AS since
    FROM dirty AS d
    WHERE
        d.shard = %(shard)s
        AND d.resolution = %(resolution)s
        AND d.window_start + %(width)s <= %(closed_until)s
        AND NOT EXISTS (
            SELECT FROM dirty AS n
            WHERE
                n.shard = d.shard
                AND n.resolution = %(narrower)s
                AND n.window_start >= d.window_start
                AND n.window_start < d.window_start + %(width)s
                AND n.marked_at <= statement_timestamp() - %(narrower_settling)s
        )
    GROUP BY d.window_start, d.entity_key
),

queued AS (
    SELECT
        window_start,
        entity_key,
        since,
        sum(weight) OVER (ORDER BY since, window_start, entity_key) - weight AS ahead
    FROM waiting
    WHERE since <= statement_timestamp() - %(settling)s
),

claimed AS (
    SELECT *
    FROM queued
    WHERE ahead < 1000
),

taken AS (
    DELETE FROM dirty AS d
    USING claimed AS c
    WHERE
        d.shard = %(shard)s
        AND d.resolution = %(resolution)s
        AND d.window_start = c.window_start
        AND d.entity_key IS NOT DISTINCT FROM c.entity_key
)

-- A window that was never rolled waits since its own start.
SELECT c.window_start, c.entity_key, e.fleet_id, c.since > c.window_start AS again
FROM claimed AS c
LEFT JOIN entity AS e ON e.entity_key = c.entity_key AND e.device_id IS NULL
ORDER BY c.window_start, c.entity_key
