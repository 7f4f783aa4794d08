-- Dead letters between two moments, by reason and by consumer: each letter once, however often it was stored.
-- Parameters: from, to, from, to.
-- The range comes twice, for the files and for the letters: engines leave files unread only by conditions on dt itself.
-- Moments are UTC, as '2026-03-01T12:00:00Z', '2026-03-01 12:00:00' or '2026-03-01'; `from` is included, `to` is not.
-- Letters lie under the day of the failure: the query reads no other day. The example is the newest.
SELECT
    reason,
    consumer,
    count(DISTINCT letter_id) AS letters,
    min(failed_at) AS first_failed_at,
    max(failed_at) AS last_failed_at,
    max_by(detail, failed_at) AS example
FROM dead_letters
WHERE dt BETWEEN substr(?, 1, 10) AND substr(?, 1, 10)
    AND failed_at >= CAST(replace(replace(?, 'T', ' '), 'Z', '') AS timestamp)
    AND failed_at < CAST(replace(replace(?, 'T', ' '), 'Z', '') AS timestamp)
GROUP BY reason, consumer
ORDER BY letters DESC, reason, consumer
