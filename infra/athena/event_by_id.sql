-- Every stored copy of one event, with the file it lies in: copies with the same variant have the same bytes.
-- Parameters: event_id, fleet_id, fleet_id, device_id, device_id, from, to.
-- An empty fleet_id or device_id means any. UUIDs are stored in lower case, other ids as they were sent.
-- Days are those of arrival, as '2026-03-01', both included. The path of its file is a hidden column of a row, which no
-- view has: so this query derives what rows leave out by itself.
SELECT
    fleet_id,
    device_id,
    coalesce(kafka_topic, 'raw-events') AS kafka_topic,
    kafka_partition,
    kafka_offset,
    received_at,
    event_time,
    coalesce(contains(flags, 'clock_ahead'), false) AS clock_ahead,
    coalesce(contains(flags, 'late_arrival'), false) AS late_arrival,
    contract,
    schema_version,
    firmware,
    event_type,
    correlation_id,
    dense_rank() OVER (PARTITION BY fleet_id, device_id ORDER BY event) AS variant,
    "$path" AS file
FROM raw_events
WHERE event_id = ?
    AND (? = '' OR fleet_id = ?)
    AND (? = '' OR device_id = ?)
    AND dt BETWEEN ? AND ?
ORDER BY fleet_id, device_id, kafka_topic, kafka_partition, kafka_offset
LIMIT 101
