-- The events of one type between two moments of their sources' clocks, each once, even if its copies arrived on different days.
-- Parameters: event_type, from, to, from, to.
-- The range comes twice, for the files and for the events: engines leave files unread only by conditions on dt itself.
-- Moments are UTC, as '2026-03-01T12:00:00Z', '2026-03-01 12:00:00' or '2026-03-01'; `from` is included, `to` is not.
-- Looked for among what arrived from a day before to seven days after: later arrivals need a later first `to`.
WITH copies AS (
    SELECT
        *,
        CAST(? AS varchar) AS asked_type,
        row_number() OVER (
            PARTITION BY fleet_id, device_id, event_id
            ORDER BY received_at, kafka_partition, kafka_offset
        ) AS copy
    FROM stored_events
    WHERE dt BETWEEN CAST(CAST(CAST(substr(?, 1, 10) AS date) - INTERVAL '1' DAY AS date) AS varchar)
                 AND CAST(CAST(CAST(substr(?, 1, 10) AS date) + INTERVAL '7' DAY AS date) AS varchar)
)
SELECT
    event_time,
    fleet_id,
    device_id,
    event_id,
    event_type,
    contract,
    schema_version,
    firmware,
    flags,
    metrics,
    event,
    received_at,
    correlation_id,
    kafka_topic,
    kafka_partition,
    kafka_offset
FROM copies
WHERE copy = 1
    AND event_type = asked_type
    AND event_time >= CAST(replace(replace(?, 'T', ' '), 'Z', '') AS timestamp)
    AND event_time < CAST(replace(replace(?, 'T', ' '), 'Z', '') AS timestamp)
ORDER BY event_time, fleet_id, device_id, event_id
