-- Replays: what was planned and applied, how far each is, and the generation of samples that it makes beside the live ones.

CREATE TABLE replay (
    replay_number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    plan_hash text NOT NULL CHECK (plan_hash ~ '^[0-9a-f]{64}$'),
    plan jsonb NOT NULL,
    fleet_id text, -- null: all fleets
    hours tstzrange NOT NULL,
    state text NOT NULL CHECK (
        state IN (
            'gathering', 'resending', 'draining', 'swapping', 'verifying', 'done', 'cancelling', 'cancelled', 'failed'
        )
    ),
    execution text NOT NULL,
    principal text NOT NULL,
    -- Which samples were there before: the swap removes those, and none that came later.
    samples_before pg_snapshot NOT NULL DEFAULT pg_current_snapshot(),
    -- For each partition of raw-events, the offset up to which raw must be complete.
    raw_ends jsonb,
    -- For each partition of replay-events, between which offsets recount must have read every record.
    replay_starts jsonb,
    replay_ends jsonb,
    chunks integer,
    counts jsonb NOT NULL DEFAULT '{}',
    -- When each state began.
    begun_at jsonb NOT NULL DEFAULT '{}',
    reason text,
    claimed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz
);

-- A plan takes effect once. One that was cancelled or that failed may be applied again.
CREATE UNIQUE INDEX replay_once ON replay (plan_hash) WHERE state NOT IN ('cancelled', 'failed');
CREATE INDEX replay_by_fleet ON replay (fleet_id, claimed_at);

-- Chunks of raw files whose events are in replay-events.
CREATE TABLE replay_chunk (
    replay_number integer NOT NULL,
    chunk integer NOT NULL,
    events bigint NOT NULL,
    trouble text, -- why it can never be sent
    done_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (replay_number, chunk)
);

-- Records that recount could not read; their dead letters are stored.
CREATE TABLE replay_unread (
    replay_number integer NOT NULL,
    partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    ahead boolean NOT NULL, -- whether a newer release can read it
    PRIMARY KEY (replay_number, partition, kafka_offset)
);

-- Hours of a shard whose samples were swapped.
CREATE TABLE replay_swap (
    replay_number integer NOT NULL,
    hour timestamptz NOT NULL,
    shard smallint NOT NULL,
    removed bigint NOT NULL,
    added bigint NOT NULL,
    windows bigint NOT NULL,
    expired boolean NOT NULL, -- its samples were gone by then: nothing was changed
    PRIMARY KEY (replay_number, hour, shard)
);

-- The generation of a replay: each replayed record once, by its place in raw-events. A recreated topic has the same
-- places again, under a later reception.
CREATE TABLE generation (
    replay_number integer NOT NULL,
    raw_partition integer NOT NULL,
    raw_offset bigint NOT NULL,
    received_at timestamptz NOT NULL,
    entity_key bigint NOT NULL,
    event_key uuid NOT NULL,
    effective_time timestamptz NOT NULL,
    shard smallint NOT NULL,
    late boolean NOT NULL,
    contract text NOT NULL,
    schema_version integer NOT NULL,
    metric_keys smallint [] NOT NULL,
    readings double precision [] NOT NULL,
    PRIMARY KEY (replay_number, raw_partition, raw_offset, received_at)
) PARTITION BY LIST (replay_number);

-- A generation is a table of its own, so that dropping it costs nothing.
CREATE FUNCTION open_generation(number integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('generations', 0));
    IF to_regclass('generation_' || number) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE generation INCLUDING ALL)', 'generation_' || number);
        EXECUTE format('ALTER TABLE generation ATTACH PARTITION %I FOR VALUES IN (%s)', 'generation_' || number, number);
    END IF;
END
$$;

-- Indexes a generation that is complete: while it is being filled, they would double its cost.
CREATE FUNCTION close_generation(number integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    part text := 'generation_' || number;
BEGIN
    EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I (shard, effective_time)', part || '_by_shard', part);
    EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I (entity_key, event_key)', part || '_by_event', part);
    EXECUTE format('ANALYZE %I', part);
END
$$;

CREATE FUNCTION drop_generation(number integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    EXECUTE format('DROP TABLE IF EXISTS %I', 'generation_' || number);
END
$$;

-- Whether a row was written by a transaction that a snapshot sees. A row knows only the lower half of its transaction's
-- id. Samples are so young that it is the id next to the snapshot's end which has that lower half.
CREATE FUNCTION was_written_before(row_xmin xid, seen pg_snapshot) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN pg_visible_in_snapshot(
    (
        pg_snapshot_xmax(seen)::text::bigint
        + (row_xmin::text::bigint - pg_snapshot_xmax(seen)::text::bigint % 4294967296 + 6442450944) % 4294967296
        - 2147483648
    )::text::xid8,
    seen
);

REVOKE ALL ON FUNCTION open_generation, close_generation, drop_generation FROM PUBLIC;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['replay', 'resend', 'recount'] LOOP
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

GRANT SELECT, INSERT, UPDATE ON replay TO sluice_replay;
GRANT SELECT, DELETE ON replay_chunk, replay_unread TO sluice_replay;
GRANT SELECT, INSERT, DELETE ON replay_swap TO sluice_replay;
GRANT SELECT ON
    generation, fleet, entity, shard, horizon, settled_event, counted_object, hole, missing_event, standing, rollup_1m, rollup_1h
TO sluice_replay;
GRANT SELECT, INSERT, DELETE ON sample TO sluice_replay;
GRANT SELECT, INSERT ON dirty TO sluice_replay;
GRANT SELECT, INSERT, UPDATE ON coverage TO sluice_replay;
GRANT SELECT, INSERT, DELETE, UPDATE (given_up) ON gap TO sluice_replay;
GRANT SELECT, INSERT ON outcome, audit TO sluice_replay;
GRANT EXECUTE ON FUNCTION
    open_generation, close_generation, drop_generation, put_coverage_aside, ensure_partition
TO sluice_replay;
-- To lock a row against changes takes the right to update some column of it.
GRANT UPDATE (store) ON horizon TO sluice_replay;

GRANT SELECT ON replay TO sluice_resend, sluice_recount;
GRANT UPDATE (replay_number) ON replay TO sluice_resend, sluice_recount;
GRANT SELECT, INSERT ON replay_chunk TO sluice_resend;

GRANT SELECT, INSERT ON generation, entity, metric, replay_unread TO sluice_recount;
GRANT SELECT, INSERT, UPDATE ON coverage TO sluice_recount;
GRANT EXECUTE ON FUNCTION put_coverage_aside TO sluice_recount;

GRANT SELECT ON replay, replay_chunk, replay_swap TO sluice_admin, sluice_query, sluice_trace, sluice_reconcile;
-- An admin asks for the end of a replay; the replay ends itself.
GRANT UPDATE (state, reason) ON replay TO sluice_admin;

-- When the events in an object were received: which objects a replay has to read. Null: written by an earlier release.
ALTER TABLE counted_object
    ADD COLUMN received_from timestamptz,
    ADD COLUMN received_to timestamptz;

-- Objects that hold late events, by the hour that these belong to: a replay that includes late events reads them too.
CREATE TABLE late_object (
    fleet_id text NOT NULL,
    hour timestamptz NOT NULL,
    object text NOT NULL COLLATE "C",
    events bigint NOT NULL,
    PRIMARY KEY (fleet_id, hour, object)
);

GRANT SELECT, INSERT, UPDATE (events) ON late_object TO sluice_reconcile;
GRANT SELECT ON late_object TO sluice_replay;
GRANT SELECT, DELETE ON late_object TO sluice_maintain;
