SELECT fleet_id, device_id, array_agg(DISTINCT rule_id ORDER BY rule_id)
FROM (
    SELECT fleet_id, device_id, rule_id FROM series_state WHERE breached_at > %(since)s
    UNION ALL
    SELECT fleet_id, device_id, rule_id
    FROM incident_device JOIN incident USING (incident_id)
    WHERE cleared_at IS NULL AND state = 'open'
) AS watched
WHERE %(fleets)s::text[] IS NULL OR (fleet_id, device_id) IN (
    SELECT * FROM unnest(%(fleets)s::text[], %(devices)s::text[])
)
GROUP BY fleet_id, device_id
