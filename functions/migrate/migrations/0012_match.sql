-- Ids that recur: which raw files were looked at, and the copies of ids that came again with other bytes.

-- The part with the ids of a raw file, if match has read it since it was counted. What is counted already is not read: it
-- would take hours, and most of it is older than what is compared. No client knows the default.
ALTER TABLE counted_object ADD COLUMN id_part text DEFAULT '';
-- squawk-ignore ban-drop-default
ALTER TABLE counted_object ALTER COLUMN id_part DROP DEFAULT;

-- Rows of raw whose ids seem to recur with other bytes. Open until the first copy is known, and until aggregate has come to
-- it and to the later ones.
CREATE TABLE recurring_copy (
    id_hash bigint NOT NULL, -- of fleet, device and event id
    object text NOT NULL COLLATE "C",
    row_number integer NOT NULL,
    turn integer NOT NULL, -- how many events of its fleet were found before it, together with it: all fleets have turns
    found_at timestamptz NOT NULL DEFAULT now(),
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'first', 'settled')),
    PRIMARY KEY (id_hash, object, row_number)
);

CREATE INDEX recurring_copy_open ON recurring_copy (turn, found_at) WHERE state = 'open';

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sluice_match') THEN
        CREATE ROLE sluice_match LOGIN;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
        GRANT rds_iam TO sluice_match;
    END IF;
END
$$;

GRANT SELECT, UPDATE (id_part) ON counted_object TO sluice_match;
GRANT SELECT, INSERT, UPDATE (state), DELETE ON recurring_copy TO sluice_match;
GRANT SELECT, DELETE ON sample TO sluice_match;
GRANT SELECT ON coverage, gap, entity, shard, horizon, replay TO sluice_match;
GRANT INSERT ON dirty, outcome TO sluice_match;
GRANT SELECT, INSERT, UPDATE (received_at) ON settled_event TO sluice_match;
-- To lock a row against changes takes the right to update some column of it.
GRANT UPDATE (store) ON horizon TO sluice_match;
GRANT UPDATE (replay_number) ON replay TO sluice_match;
