-- Deletes the markers of due minutes, and returns those minutes. All minutes that close now are due. Of the minutes
-- that were rolled before, those that wait longest are taken, as many as fit: a shard counts as a hundred devices, and
-- fleets count by the minute, because one reading of a minute serves all of them.
WITH waiting AS (
    SELECT
        d.shard,
        d.window_start,
        d.entity_key,
        d.window_start < s.closed_until AS again,
        -- The oldest marker decides: new ones must not delay the window for ever.
        min(d.marked_at) AS since
    FROM unnest(%(shards)s::smallint [], %(untils)s::timestamptz []) AS mine (shard, until)
    INNER JOIN shard AS s ON s.shard = mine.shard
    INNER JOIN dirty AS d ON d.shard = mine.shard
    WHERE d.resolution = '1m' AND d.window_start < mine.until
    GROUP BY d.shard, d.window_start, d.entity_key, s.closed_until
),

due AS (
    SELECT
        w.*,
        e.fleet_id,
        CASE WHEN e.fleet_id IS NULL THEN CASE WHEN w.entity_key IS NULL THEN 100 ELSE 1 END END AS weight
    FROM waiting AS w
    LEFT JOIN entity AS e ON e.entity_key = w.entity_key AND e.device_id IS NULL
    WHERE NOT w.again OR w.since <= statement_timestamp() - %(straggler)s
),

queued AS (
    SELECT
        *,
        -- The weight before it, so that the first one is always taken, however heavy.
        sum(weight) OVER (PARTITION BY again, fleet_id IS NULL ORDER BY since, shard, window_start, entity_key)
        - weight AS ahead,
        first_value(window_start) OVER (
            PARTITION BY again, fleet_id IS NULL ORDER BY since, shard, window_start, entity_key
        ) AS longest_waiting
    FROM due
),

claimed AS (
    SELECT *
    FROM queued
    WHERE NOT again OR CASE WHEN fleet_id IS NULL THEN ahead < 1000 ELSE window_start = longest_waiting END
),

taken AS (
    DELETE FROM dirty AS d
    USING claimed AS c
    WHERE
        d.resolution = '1m'
        AND d.shard = c.shard
        AND d.window_start = c.window_start
        AND d.entity_key IS NOT DISTINCT FROM c.entity_key
)

SELECT
    c.shard,
    c.window_start,
    c.entity_key,
    c.fleet_id,
    (
        SELECT count(*)
        FROM (SELECT FROM entity AS e WHERE e.fleet_id = c.fleet_id AND e.device_id IS NOT NULL LIMIT %(many)s)
    ) AS devices,
    c.again
FROM claimed AS c
ORDER BY c.window_start, c.shard, c.entity_key
