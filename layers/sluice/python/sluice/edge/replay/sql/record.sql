INSERT INTO replay_swap (replay_number, hour, shard, removed, added, windows, expired)
VALUES (%(number)s, %(hour)s, %(shard)s, %(removed)s, %(added)s, %(windows)s, %(expired)s)
ON CONFLICT DO NOTHING
