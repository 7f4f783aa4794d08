SELECT incident_id, device_id, incident_device.joined_at, cleared_at
FROM incident_device
JOIN incident USING (incident_id)
WHERE incident.fleet_id = %(fleet)s AND state = 'open' AND cleared_at IS NULL AND NOT EXISTS (
        SELECT FROM series_state
        WHERE series_state.fleet_id = incident.fleet_id AND series_state.rule_id = incident.rule_id
            AND series_state.metric = incident.metric AND series_state.device_id = incident_device.device_id
            AND heard_at >= %(since)s
    )
LIMIT 10000
