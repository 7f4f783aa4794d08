-- Locks a shard that has wider windows to roll and that no other roller works on: closed windows whose due narrower
-- windows are all rolled.
SELECT shard.shard, shard.closed_until
FROM shard
WHERE
    shard.shard <> ALL(%(aside)s::smallint [])
    AND EXISTS (
        SELECT FROM dirty AS d
        WHERE
            d.shard = shard.shard
            AND d.resolution = %(resolution)s
            AND d.window_start + %(width)s <= shard.closed_until
            AND d.marked_at <= statement_timestamp() - %(settling)s
            AND NOT EXISTS (
                SELECT FROM dirty AS n
                WHERE
                    n.shard = shard.shard
                    AND n.resolution = %(narrower)s
                    AND n.window_start >= d.window_start
                    AND n.window_start < d.window_start + %(width)s
                    AND n.marked_at <= statement_timestamp() - %(narrower_settling)s
            )
    )
ORDER BY random()
LIMIT 1
FOR UPDATE SKIP LOCKED
