-- Every event once: its first copy among those that arrived in the same region on the same day.
-- Region and day are part of the window, so that a condition on them reaches the files: without them, every file is read.
SELECT
    fleet_id,
    device_id,
    event_id,
    contract,
    schema_version,
    firmware,
    event_type,
    event_time,
    event_date,
    received_at,
    flags,
    metrics,
    event,
    correlation_id,
    kafka_topic,
    kafka_partition,
    kafka_offset,
    region,
    dt
FROM (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY region, dt, fleet_id, device_id, event_id
            ORDER BY received_at, kafka_partition, kafka_offset
        ) AS copy
    FROM stored_events
) AS copies
WHERE copy = 1
