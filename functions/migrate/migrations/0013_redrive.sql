-- Re-drives of dead letters: what was asked, how far each is, and what became of every letter.

CREATE TABLE redrive (
    redrive_number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    group_id text NOT NULL CHECK (group_id ~ '^[0-9a-f]{16}$'),
    fleet_id text NOT NULL,
    fix jsonb NOT NULL,
    -- When the letters failed: the first moment, and the one behind the last.
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'sending' CHECK (state IN ('sending', 'draining', 'done', 'cancelled', 'failed')),
    principal text NOT NULL,
    reason text NOT NULL,
    correlation_id text NOT NULL,
    -- The last object whose letters are dealt with.
    position text NOT NULL DEFAULT '' COLLATE "C",
    counts jsonb NOT NULL DEFAULT '{}',
    trouble text,
    -- When an object's letters were dealt with last, or all of them.
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at timestamptz,
    ended_at timestamptz
);

-- Two re-drives of one group would send its letters twice.
CREATE UNIQUE INDEX redrive_once ON redrive (group_id) WHERE state IN ('sending', 'draining');

-- What became of a letter. It is written before its event is produced: after a crash it is known what may be stored.
CREATE TABLE redrive_letter (
    letter_id text NOT NULL PRIMARY KEY CHECK (letter_id ~ '^[0-9a-f]{64}$'),
    redrive_number integer NOT NULL,
    state text NOT NULL CHECK (state IN ('sending', 'accepted', 'accounted', 'rejected', 'incomplete')),
    attempts smallint NOT NULL,
    -- Of the bytes that the device sent: with the place, the proof of what an event was made of.
    original_sha256 text CHECK (original_sha256 ~ '^[0-9a-f]{64}$'),
    -- Why it was rejected last.
    reason text,
    detail text,
    kafka_partition integer,
    kafka_offset bigint,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((state IN ('accepted', 'accounted')) = (kafka_offset IS NOT NULL))
);

CREATE INDEX redrive_letter_accepted ON redrive_letter (kafka_partition, kafka_offset) WHERE state = 'accepted';
CREATE INDEX redrive_letter_by_age ON redrive_letter (changed_at);
CREATE INDEX redrive_letter_by_redrive ON redrive_letter (redrive_number, state);

-- Objects that hold redriven events of an hour: they were received long before the object's day.
ALTER TABLE late_object ADD COLUMN redriven bigint NOT NULL DEFAULT 0;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sluice_redrive') THEN
        CREATE ROLE sluice_redrive LOGIN;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
        GRANT rds_iam TO sluice_redrive;
    END IF;
END
$$;

GRANT SELECT ON redrive, fleet, coverage TO sluice_redrive;
GRANT UPDATE (state, position, counts, trouble, moved_at, sent_at, ended_at) ON redrive TO sluice_redrive;
GRANT SELECT, INSERT, UPDATE, DELETE ON redrive_letter TO sluice_redrive;
GRANT SELECT, INSERT ON audit TO sluice_redrive;

-- An admin begins and cancels a re-drive; redrive does its work.
GRANT SELECT, INSERT, UPDATE (state, ended_at) ON redrive TO sluice_admin;
GRANT SELECT ON redrive_letter TO sluice_admin;
-- Events of an earlier day are under way while their re-drive lasts, and until they are accounted for.
GRANT SELECT ON redrive, redrive_letter TO sluice_query, sluice_reconcile;
GRANT UPDATE (redriven) ON late_object TO sluice_reconcile;
