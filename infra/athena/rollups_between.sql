-- The rollups of one metric between two moments: the older minutes or hours, of devices and of fleets as a whole.
-- Parameters: fleet_id, metric, resolution, from, to, from, to.
-- The range comes twice, for the files and for the windows: engines leave files unread only by conditions on dt itself.
-- Moments are UTC, as '2026-03-01T12:00:00Z', '2026-03-01 12:00:00' or '2026-03-01'; `from` is included, `to` is not.
-- The resolution is '1m' or '1h'. A fleet's own rows have no device; they are not the devices' rows added up again.
SELECT
    window_start,
    device_id,
    unit,
    count,
    avg,
    min,
    max,
    p50,
    p95,
    sum
FROM rollups
WHERE fleet_id = ? AND metric = ? AND resolution = ?
    AND dt BETWEEN substr(?, 1, 10) AND substr(?, 1, 10)
    AND window_start >= CAST(replace(replace(?, 'T', ' '), 'Z', '') AS timestamp)
    AND window_start < CAST(replace(replace(?, 'T', ' '), 'Z', '') AS timestamp)
ORDER BY window_start, device_id
