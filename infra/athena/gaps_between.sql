-- Gaps of the ledger: offsets between two stored ones for which there is neither a row nor a dead letter of archive.
-- Parameters: from, to, from, to.
-- The range comes twice, for the events and for the dead letters. Days are those of arrival, as '2026-03-01', both
-- included. An offset may be stored a day before or after its neighbours: take a day more on both sides of what is asked.
-- Events of the newest minutes may not be stored yet. An answer without rows means that nothing in between is missing.
WITH stored AS (
    SELECT
        kafka_topic,
        kafka_partition,
        kafka_offset,
        received_at
    FROM stored_events
    WHERE dt BETWEEN ? AND ?
    UNION ALL
    SELECT
        kafka_topic,
        kafka_partition,
        kafka_offset,
        received_at
    FROM dead_letters
    WHERE consumer = 'archive'
        AND kafka_offset IS NOT NULL
        AND dt BETWEEN ? AND ?
),
neighbours AS (
    SELECT
        kafka_topic,
        kafka_partition,
        kafka_offset,
        received_at,
        lead(kafka_offset) OVER (PARTITION BY kafka_topic, kafka_partition ORDER BY kafka_offset) AS next_offset
    FROM stored
)
SELECT
    kafka_topic,
    kafka_partition,
    kafka_offset + 1 AS first_missing,
    next_offset - 1 AS last_missing,
    next_offset - kafka_offset - 1 AS missing,
    received_at AS received_before
FROM neighbours
WHERE next_offset > kafka_offset + 1
ORDER BY kafka_topic, kafka_partition, kafka_offset
