-- Removes the samples that were there when the replay began, unless the generation has the very same. Except where all is to
-- be computed again, two kinds stay: those whose event the generation does not have at all, because raw may lack it; and
-- those of late events, which an earlier replay has counted.
WITH removed AS (
    DELETE FROM sample AS s
    USING entity AS e
    WHERE
        e.entity_key = s.entity_key
        AND (%(fleet)s::text IS NULL OR e.fleet_id = %(fleet)s)
        AND (%(devices)s::text [] IS NULL OR e.device_id = ANY(%(devices)s::text []))
        AND s.shard = %(shard)s
        AND s.effective_time >= %(since)s
        AND s.effective_time < %(until)s
        AND was_written_before(s.xmin, (SELECT samples_before FROM replay WHERE replay_number = %(number)s))
        AND (
            %(reprocess)s
            OR EXISTS (
                SELECT FROM generation AS g
                WHERE
                    g.replay_number = %(number)s
                    AND g.entity_key = s.entity_key
                    AND g.event_key = s.event_key
            )
            AND NOT EXISTS (
                SELECT FROM generation AS g
                WHERE
                    g.replay_number = %(number)s
                    AND g.entity_key = s.entity_key
                    AND g.event_key = s.event_key
                    AND g.late
                    AND g.effective_time = s.effective_time
                    AND g.metric_keys = s.metric_keys
                    AND g.readings = s.readings
            )
        )
        AND NOT EXISTS (
            SELECT FROM wanted AS w
            WHERE
                w.entity_key = s.entity_key
                AND w.event_key = s.event_key
                AND w.effective_time = s.effective_time
                AND w.metric_keys = s.metric_keys
                AND w.readings = s.readings
        )
    RETURNING s.entity_key, s.effective_time, s.shard
)

INSERT INTO touched (entity_key, effective_time, shard)
SELECT entity_key, effective_time, shard FROM removed
