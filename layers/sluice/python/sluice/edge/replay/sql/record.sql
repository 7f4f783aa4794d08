INSERT INTO replay_swap (
    replay_number, hour, shard, removed, added, windows, expired, recomputed, in_files, readings, total, magnitude
)
VALUES (
    %(number)s, %(hour)s, %(unit)s, %(removed)s, %(added)s, %(windows)s, %(expired)s,
    %(recomputed)s, %(in_files)s, %(readings)s, %(total)s, %(magnitude)s
)
ON CONFLICT DO NOTHING
