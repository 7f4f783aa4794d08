-- Fleets and their API keys: control data, changed by admins only, read by the edge.

CREATE TABLE fleet (
    fleet_id text PRIMARY KEY CHECK (fleet_id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- What the fleet may send, and how much of it may be bad: one fleet must not starve or bankrupt the others.
    events_per_second double precision NOT NULL DEFAULT 1000 CHECK (events_per_second > 0 AND events_per_second <= 1e9),
    rejects_per_second double precision NOT NULL DEFAULT 50 CHECK (rejects_per_second > 0 AND rejects_per_second <= 1e9)
);

CREATE TABLE api_key (
    key_id text PRIMARY KEY,
    fleet_id text NOT NULL REFERENCES fleet,
    role text NOT NULL CHECK (role IN ('device', 'reader')),
    -- Of the whole key; the key itself is shown once and kept nowhere.
    secret_hash text NOT NULL CHECK (secret_hash ~ '^[0-9a-f]{64}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);

CREATE INDEX api_key_by_fleet ON api_key (fleet_id);

-- Each function has a role of its own. On RDS it logs in with IAM; elsewhere rds_iam does not exist.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sluice_ingest') THEN
        CREATE ROLE sluice_ingest LOGIN;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
        GRANT rds_iam TO sluice_ingest;
    END IF;
END
$$;

GRANT SELECT ON api_key, fleet TO sluice_ingest;
