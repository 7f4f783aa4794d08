-- Counts the minutes whose row does not hold the readings that were chosen for it, of devices or of fleets as a whole.
WITH counted AS (
    SELECT
        CASE WHEN %(whole)s THEN fleet.entity_key ELSE w.entity_key END AS entity_key,
        date_trunc('minute', w.effective_time, 'UTC') AS minute,
        sum(cardinality(w.metric_keys))::bigint AS readings,
        sum((SELECT coalesce(sum(r), 0) FROM unnest(w.readings) AS r)) AS total,
        sum((SELECT coalesce(sum(abs(r)), 0) FROM unnest(w.readings) AS r)) AS magnitude
    FROM wanted AS w
    INNER JOIN entity AS device ON device.entity_key = w.entity_key
    INNER JOIN entity AS fleet ON fleet.fleet_id = device.fleet_id AND fleet.device_id IS NULL
    GROUP BY 1, 2
    HAVING sum(cardinality(w.metric_keys)) > 0
),

rolled AS (
    SELECT
        r.entity_key,
        r.window_start AS minute,
        (SELECT sum(c) FROM unnest(r.counts) AS c)::bigint AS readings,
        (SELECT sum(t) FROM unnest(r.sums) AS t) AS total
    FROM {target} AS r
    WHERE
        r.entity_key = ANY(%(entities)s::bigint [])
        AND r.window_start >= %(since)s
        AND r.window_start < %(until)s
        AND r.metric_keys <> '{{}}'
)

SELECT count(*)
FROM counted
FULL JOIN rolled USING (entity_key, minute)
WHERE
    (
        counted.readings = rolled.readings
        AND abs(counted.total - rolled.total) <= %(tolerance)s * counted.magnitude
    ) IS NOT TRUE
