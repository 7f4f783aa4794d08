-- The events with which devices joined incidents: from an event, trace finds the incidents and the messages it caused.
CREATE TABLE incident_event (
    incident_id text NOT NULL REFERENCES incident ON DELETE CASCADE,
    device_id text NOT NULL,
    event_id text NOT NULL,
    -- Of the request that brought the event.
    correlation_id text NOT NULL,
    -- The time of the reading.
    joined_at timestamptz NOT NULL,
    PRIMARY KEY (incident_id, device_id, event_id)
);

CREATE INDEX incident_event_by_event ON incident_event (event_id, device_id);

GRANT INSERT ON incident_event TO sluice_alert;
GRANT SELECT ON incident_event, incident, alert_message TO sluice_trace;
-- What servers answered, and how fast, is for operators.
GRANT SELECT (incident_id, sequence, destination_id, attempt, outcome, status, at) ON delivery TO sluice_trace;
