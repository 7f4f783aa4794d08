-- Every dead letter that bears the id of one event, with the file it lies in.
-- Parameters: event_id, fleet_id, fleet_id, device_id, device_id, from, to.
-- An empty fleet_id or device_id means any. Dead letters have ids as they were sent, so case is ignored.
-- Days are those of the failure, as '2026-03-01', both included.
SELECT
    fleet_id,
    device_id,
    event_id,
    letter_id,
    reason,
    detail,
    consumer,
    attempts,
    failed_at,
    event_size,
    correlation_id,
    kafka_topic,
    kafka_partition,
    kafka_offset,
    "$path" AS file
FROM dead_letters
WHERE lower(event_id) = lower(?)
    AND (? = '' OR fleet_id = ?)
    AND (? = '' OR device_id = ?)
    AND dt BETWEEN ? AND ?
ORDER BY failed_at, letter_id
LIMIT 101
