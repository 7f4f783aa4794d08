-- Every stored copy of every event, with all columns: rows leave out what follows from the rest of them.
-- Files of earlier releases have all columns written. `event_date` is derived for them too, so that one rule gives it.
-- An event's own `metrics` are read as such only for telemetry; what other contracts have under that name may be anything.
SELECT
    fleet_id,
    device_id,
    event_id,
    contract,
    schema_version,
    firmware,
    event_type,
    event_time,
    CAST(CAST(event_time AS date) AS varchar) AS event_date,
    received_at,
    coalesce(flags, ARRAY[]) AS flags,
    coalesce(
        metrics,
        CASE
            WHEN contract = 'telemetry' THEN TRY_CAST(json_extract(event, '$.metrics') AS map(varchar, double))
        END,
        MAP()
    ) AS metrics,
    event,
    correlation_id,
    coalesce(kafka_topic, 'raw-events') AS kafka_topic,
    kafka_partition,
    kafka_offset,
    region,
    dt
FROM raw_events
