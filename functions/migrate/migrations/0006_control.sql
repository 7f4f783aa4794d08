-- Fleets and keys as admins change them, and the audit of each change.

ALTER TABLE fleet
    -- Null: the deployment's own region. Rows that are older than this column have none.
    ADD COLUMN home_region text,
    ADD COLUMN archived_at timestamptz,
    -- Counts changes: whoever changes a fleet names the version that they saw.
    ADD COLUMN version bigint NOT NULL DEFAULT 1;

-- The key that replaces this one.
ALTER TABLE api_key ADD COLUMN successor text;

-- Each entry carries the hash of the one before. An altered entry breaks the chain; checkpoints outside the database
-- show that the whole chain was written anew.
CREATE TABLE audit (
    number bigint PRIMARY KEY CHECK (number > 0),
    -- Canonical JSON, as it was hashed.
    entry text NOT NULL,
    hash text NOT NULL CHECK (hash ~ '^[0-9a-f]{64}$')
);

-- Answers by idempotency key, written in the transaction of the change. A key's text is never among them.
CREATE TABLE answered (
    principal text NOT NULL,
    idempotency_key text NOT NULL,
    request_hash text NOT NULL,
    status smallint NOT NULL,
    answer jsonb NOT NULL,
    answered_at timestamptz NOT NULL,
    PRIMARY KEY (principal, idempotency_key)
);

CREATE INDEX answered_by_time ON answered (answered_at);

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sluice_admin') THEN
        CREATE ROLE sluice_admin LOGIN;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
        GRANT rds_iam TO sluice_admin;
    END IF;
END
$$;

GRANT SELECT, INSERT ON fleet TO sluice_admin;
GRANT UPDATE (events_per_second, rejects_per_second, home_region, archived_at, version) ON fleet TO sluice_admin;
GRANT SELECT, INSERT ON api_key TO sluice_admin;
GRANT UPDATE (expires_at, revoked_at, successor) ON api_key TO sluice_admin;
-- Nobody but the owner may update or delete an entry.
GRANT SELECT, INSERT ON audit TO sluice_admin;
GRANT SELECT, INSERT, DELETE ON answered TO sluice_admin;
