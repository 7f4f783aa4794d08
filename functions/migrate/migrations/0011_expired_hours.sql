-- Replays of hours whose samples have expired: their windows are computed from the generation, and replaced where they are.

-- What the recomputed minutes of an hour's devices hold, to compare the stored ones with. Windows of fleets are units of
-- their own: ten minutes each, under their shard and 64 for each ten minutes up to them.
ALTER TABLE replay_swap
ADD COLUMN recomputed boolean NOT NULL DEFAULT false,
ADD COLUMN in_files boolean NOT NULL DEFAULT false, -- whether its minutes wait to be put into files
ADD COLUMN readings bigint NOT NULL DEFAULT 0,
ADD COLUMN total double precision NOT NULL DEFAULT 0,
ADD COLUMN magnitude double precision NOT NULL DEFAULT 0;

-- Whether a chunk holds all that was received from the moment on from which its replay reads. An older resend does not say.
ALTER TABLE replay_chunk ADD COLUMN reaches_back boolean NOT NULL DEFAULT false;

-- Slices of minutes in files whose files a replay has replaced.
CREATE TABLE replay_slice (
    replay_number integer NOT NULL,
    window_from timestamptz NOT NULL,
    window_to timestamptz NOT NULL,
    PRIMARY KEY (replay_number, window_from, window_to)
);

-- Objects that are or were files of rollups, and that go unless `tiered` lists them.
CREATE TABLE unlisted_file (
    object text COLLATE "C" PRIMARY KEY,
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Makes the table of a replay's recomputed minutes whose rows are in files.
CREATE FUNCTION open_recomputed(number integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    made text := 'recomputed_' || number;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('generations', 0));
    IF to_regclass(made) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE rollup_1m INCLUDING ALL)', made);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO sluice_replay', made);
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION drop_generation(number integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    EXECUTE format('DROP TABLE IF EXISTS %I', 'generation_' || number);
    EXECUTE format('DROP TABLE IF EXISTS %I', 'recomputed_' || number);
END
$$;

REVOKE ALL ON FUNCTION open_recomputed FROM PUBLIC;
GRANT EXECUTE ON FUNCTION open_recomputed TO sluice_replay;

GRANT SELECT, INSERT, DELETE ON replay_slice, unlisted_file, tiered TO sluice_replay;
GRANT INSERT, UPDATE, DELETE ON rollup_1m, rollup_1h TO sluice_replay;
GRANT SELECT ON metric TO sluice_replay;
GRANT INSERT ON change TO sluice_replay;
-- To lock a row against changes takes the right to update some column of it. There are as many rows as there may be
-- shards, so that this column cannot be changed.
GRANT UPDATE (shard) ON shard TO sluice_replay;

-- Nothing moves to files while a replay replaces it where it is.
GRANT SELECT ON replay TO sluice_tier;
