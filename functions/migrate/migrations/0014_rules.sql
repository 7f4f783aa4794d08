-- Rules for anomalies and destinations of notifications, as admins change them. Rows are archived and never deleted.

CREATE TABLE rule (
    fleet_id text NOT NULL REFERENCES fleet,
    rule_id text NOT NULL CHECK (rule_id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    kind text NOT NULL,
    -- Empty for silence.
    metric text NOT NULL,
    -- Of a threshold: that of its series.
    unit text,
    device_type text,
    device_id text,
    -- NaN is greater than infinity.
    open double precision NOT NULL CHECK (open > '-infinity' AND open < 'infinity'),
    clear double precision NOT NULL CHECK (clear > '-infinity' AND clear < 'infinity'),
    breaches smallint NOT NULL CHECK (breaches > 0),
    "of" smallint NOT NULL CHECK ("of" >= breaches),
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    created_at timestamptz NOT NULL,
    archived_at timestamptz,
    -- Counts changes, as that of a fleet does.
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (fleet_id, rule_id),
    CHECK (device_type IS NULL OR device_id IS NULL)
);

-- Of two rules of one kind for the same devices and series only one could count.
CREATE UNIQUE INDEX rule_once ON rule (fleet_id, kind, metric, coalesce(device_type, ''), coalesce(device_id, ''))
    WHERE archived_at IS NULL;

CREATE TABLE destination (
    destination_id text PRIMARY KEY CHECK (destination_id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    -- Null: incidents of every fleet.
    fleet_id text REFERENCES fleet,
    kind text NOT NULL,
    -- The name of its secret; what is in it, only notify reads.
    secret text NOT NULL,
    least_severity text NOT NULL CHECK (least_severity IN ('info', 'warning', 'critical')),
    after_minutes integer NOT NULL CHECK (after_minutes >= 0),
    created_at timestamptz NOT NULL,
    archived_at timestamptz,
    version bigint NOT NULL DEFAULT 1
);

GRANT SELECT, INSERT, UPDATE (open, clear, breaches, "of", severity, archived_at, version) ON rule TO sluice_admin;
GRANT SELECT, INSERT, UPDATE (secret, least_severity, after_minutes, archived_at, version) ON destination TO sluice_admin;
GRANT SELECT ON rule, destination TO sluice_publish;
