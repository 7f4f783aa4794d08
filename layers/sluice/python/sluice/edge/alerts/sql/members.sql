SELECT incident_id, device_id, joined_at, cleared_at
FROM incident_device
WHERE incident_id = ANY(%(incidents)s) AND device_id = ANY(%(devices)s)
