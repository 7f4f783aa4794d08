-- Adds the events of the generation that have no sample. A sample that came in meanwhile stays, under any time. One that
-- was there before under another time is removed with the hour that it is in.
WITH added AS (
    INSERT INTO sample (entity_key, event_key, effective_time, shard, metric_keys, readings)
    SELECT w.entity_key, w.event_key, w.effective_time, w.shard, w.metric_keys, w.readings
    FROM wanted AS w
    WHERE NOT EXISTS (
        SELECT FROM sample AS s
        WHERE
            s.entity_key = w.entity_key
            AND s.event_key = w.event_key
            AND s.effective_time >= %(hours_from)s
            AND s.effective_time < %(hours_to)s
            AND (
                s.effective_time = w.effective_time
                OR NOT was_written_before(s.xmin, (SELECT samples_before FROM replay WHERE replay_number = %(number)s))
            )
    )
    ORDER BY w.entity_key, w.event_key, w.effective_time
    ON CONFLICT DO NOTHING
    RETURNING entity_key, effective_time, shard
)

INSERT INTO touched (entity_key, effective_time, shard)
SELECT entity_key, effective_time, shard FROM added
