-- The events of a generation that count in a span of time, of a shard's devices or of all devices of its fleets. An id counts once for its device: its first copy in
-- raw-events decides, even if that one is late or belongs to another hour. Outside the replayed hours, what counts already
-- decides; and an id that was settled before, because an earlier copy was late or its clock ran ahead.
INSERT INTO wanted (entity_key, event_key, effective_time, shard, metric_keys, readings)
SELECT g.entity_key, g.event_key, g.effective_time, g.shard, g.metric_keys, g.readings
FROM generation AS g
WHERE
    g.replay_number = %(number)s
    AND {whose}
    AND g.effective_time >= %(since)s
    AND g.effective_time < %(until)s
    AND (%(include_late)s OR NOT g.late)
    AND NOT EXISTS (
        SELECT FROM generation AS earlier
        WHERE
            earlier.replay_number = %(number)s
            AND earlier.entity_key = g.entity_key
            AND earlier.event_key = g.event_key
            AND (earlier.raw_partition, earlier.raw_offset, earlier.received_at)
            < (g.raw_partition, g.raw_offset, g.received_at)
    )
    AND NOT EXISTS (
        SELECT FROM sample AS elsewhere
        WHERE
            elsewhere.entity_key = g.entity_key
            AND elsewhere.event_key = g.event_key
            AND (
                elsewhere.effective_time >= %(hours_from)s::timestamptz - %(nearby)s
                AND elsewhere.effective_time < %(hours_from)s::timestamptz
                OR elsewhere.effective_time >= %(hours_to)s::timestamptz
                AND elsewhere.effective_time < %(hours_to)s::timestamptz + %(nearby)s
            )
    )
    AND NOT EXISTS (
        SELECT FROM settled_event AS settled
        WHERE
            settled.entity_key = g.entity_key
            AND settled.event_key = g.event_key
            AND settled.received_at < g.received_at
    )
