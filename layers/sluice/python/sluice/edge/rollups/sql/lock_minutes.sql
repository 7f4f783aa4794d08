-- Locks some shards that have minutes to roll and that no other roller works on, and returns up to when each is closed
-- then: minute by minute if several wait, so that no transaction takes long.
WITH mine AS (
    SELECT shard.shard, shard.closed_until
    FROM shard
    WHERE
        shard.shard <> ALL(%(aside)s::smallint [])
        AND (
            shard.closed_until < coalesce(%(bound)s::timestamptz, '-infinity')
            OR EXISTS (
                SELECT FROM dirty AS d
                WHERE
                    d.shard = shard.shard
                    AND d.resolution = '1m'
                    AND d.window_start < shard.closed_until
                    AND d.marked_at <= statement_timestamp() - %(straggler)s
            )
        )
    -- Random among equals: in a fixed order, endless work on the first shards would starve the last ones.
    ORDER BY shard.closed_until, random()
    LIMIT %(shards)s
    FOR UPDATE SKIP LOCKED
)

SELECT
    mine.shard,
    greatest(
        mine.closed_until,
        least(coalesce(%(bound)s::timestamptz, '-infinity'), waiting.first + interval '1 minute')
    ) AS until
FROM mine
CROSS JOIN LATERAL (
    SELECT min(d.window_start) AS first
    FROM dirty AS d
    WHERE d.shard = mine.shard AND d.resolution = '1m' AND d.window_start >= mine.closed_until
) AS waiting
