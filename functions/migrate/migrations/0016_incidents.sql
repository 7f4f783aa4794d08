-- Incidents: the state of each series under a rule, what is open, what is to be told, silences and deliveries.

-- A series of a device under a rule, as alert remembers it.
CREATE TABLE series_state (
    fleet_id text NOT NULL,
    rule_id text NOT NULL,
    metric text NOT NULL,
    device_id text NOT NULL,
    state jsonb NOT NULL,
    -- By alert's clock: when a verdict was taken in, and when the newest breach was.
    heard_at timestamptz NOT NULL,
    breached_at timestamptz,
    PRIMARY KEY (fleet_id, rule_id, metric, device_id)
);

CREATE INDEX series_state_heard ON series_state (heard_at);
CREATE INDEX series_state_breached ON series_state (breached_at);

CREATE TABLE incident (
    incident_id text NOT NULL PRIMARY KEY CHECK (incident_id ~ '^[0-9a-f]{24}$'),
    fleet_id text NOT NULL,
    rule_id text NOT NULL,
    metric text NOT NULL,
    unit text NOT NULL,
    kind text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    threshold double precision NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'resolved')),
    -- Times of readings.
    opened_at timestamptz NOT NULL,
    joined_at timestamptz NOT NULL,
    resolved_at timestamptz,
    read_at timestamptz NOT NULL,
    -- By alert's clock.
    changed_at timestamptz NOT NULL,
    resolution text CHECK (resolution IN ('clear', 'unheard', 'by_hand')),
    acknowledged_at timestamptz,
    acknowledged_by text,
    reopened integer NOT NULL,
    devices integer NOT NULL,
    open_devices integer NOT NULL,
    examples text[] NOT NULL,
    value double precision,
    why text NOT NULL,
    event_id text,
    correlation_id text NOT NULL,
    -- What was told of it, how often, and why something waits.
    told text NOT NULL CHECK (told IN ('nothing', 'open', 'resolved')),
    told_devices integer NOT NULL,
    told_severity text,
    told_at timestamptz[] NOT NULL,
    told_acknowledged boolean NOT NULL,
    first_told_at timestamptz,
    sequence integer NOT NULL,
    escalated_minutes integer NOT NULL,
    held text NOT NULL CHECK (held IN ('', 'silence', 'storm')),
    CHECK ((state = 'resolved') = (resolved_at IS NOT NULL))
);

CREATE INDEX incident_by_rule ON incident (fleet_id, rule_id, metric, resolved_at);
CREATE INDEX incident_by_time ON incident (opened_at, incident_id);
CREATE INDEX incident_of_fleet ON incident (fleet_id, opened_at, incident_id);
-- What time alone may change.
CREATE INDEX incident_active ON incident (fleet_id) WHERE state = 'open' OR told = 'open';
CREATE INDEX incident_first_told ON incident (fleet_id, first_told_at);
CREATE INDEX incident_by_age ON incident (resolved_at);

-- A device that fired under an incident; open until its readings were clear.
CREATE TABLE incident_device (
    incident_id text NOT NULL REFERENCES incident ON DELETE CASCADE,
    device_id text NOT NULL,
    joined_at timestamptz NOT NULL,
    cleared_at timestamptz,
    PRIMARY KEY (incident_id, device_id)
);

CREATE INDEX incident_device_open ON incident_device (incident_id) WHERE cleared_at IS NULL;

-- Messages, written in the transaction that causes them. They are sent after it, in the order of their sequence.
CREATE TABLE alert_message (
    incident_id text NOT NULL REFERENCES incident ON DELETE CASCADE,
    sequence integer NOT NULL,
    message jsonb NOT NULL,
    written_at timestamptz NOT NULL,
    sent_at timestamptz,
    -- When SNS said that it can never take it. It is put aside.
    refused_at timestamptz,
    PRIMARY KEY (incident_id, sequence)
);

CREATE INDEX alert_message_unsent ON alert_message (written_at, incident_id, sequence) WHERE sent_at IS NULL;

CREATE TABLE silence (
    silence_number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fleet_id text NOT NULL,
    -- Null: every rule, every device.
    rule_id text,
    device_id text,
    reason text NOT NULL,
    principal text NOT NULL,
    made_at timestamptz NOT NULL,
    until timestamptz NOT NULL CHECK (until > made_at)
);

CREATE INDEX silence_by_fleet ON silence (fleet_id, until);
CREATE INDEX silence_by_age ON silence (until);

-- What notify reports of each attempt.
CREATE TABLE delivery (
    incident_id text NOT NULL,
    sequence integer NOT NULL,
    destination_id text NOT NULL,
    attempt integer NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('delivered', 'failed', 'refused', 'given_up')),
    status integer,
    detail text NOT NULL,
    at timestamptz NOT NULL,
    seconds double precision NOT NULL,
    -- Attempts of a dead letter that is sent again begin at 1 again.
    PRIMARY KEY (incident_id, sequence, destination_id, attempt, at)
);

CREATE INDEX delivery_by_age ON delivery (at);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['alert', 'attend'] LOOP
        name := 'sluice_' || name;
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', name);
        END IF;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
            EXECUTE format('GRANT rds_iam TO %I', name);
        END IF;
    END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE ON series_state TO sluice_alert;
GRANT SELECT ON series_state TO sluice_attend;
GRANT SELECT, INSERT, UPDATE ON incident, incident_device TO sluice_alert, sluice_attend;
GRANT SELECT, INSERT, UPDATE (sent_at, refused_at) ON alert_message TO sluice_alert, sluice_attend;
GRANT SELECT ON silence TO sluice_alert, sluice_attend;
GRANT SELECT, INSERT ON delivery TO sluice_attend;

GRANT SELECT ON series_state, incident_device, alert_message, delivery TO sluice_admin;
GRANT SELECT ON incident TO sluice_admin;
GRANT UPDATE (state, resolution, resolved_at, changed_at, open_devices, acknowledged_at, acknowledged_by, held)
    ON incident TO sluice_admin;
GRANT UPDATE (cleared_at) ON incident_device TO sluice_admin;
GRANT SELECT, INSERT, UPDATE (until) ON silence TO sluice_admin;

GRANT SELECT, DELETE ON series_state, incident, silence, delivery TO sluice_maintain;
-- Readers see the incidents of their fleet, each beside its rule.
GRANT SELECT ON series_state, incident, incident_device, silence, rule TO sluice_query;
