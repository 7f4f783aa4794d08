-- Samples and what is computed from them.
--
-- Samples are a set: an event is in it once, however often it comes. Rollups are a function of that set, and every one of
-- them can be computed again. What has to be computed again is written down as markers that are only ever added.
--
-- Where TimescaleDB is, the partitioned tables become its hypertables further down; nothing else differs.

-- Whoever has windows: a device, or a fleet as a whole.
CREATE TABLE entity (
    entity_key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fleet_id text NOT NULL,
    device_id text, -- null: the fleet as a whole
    -- Of fleet and device by a hash that is fixed for ever, as their number is.
    shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 63),
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (fleet_id, device_id)
);

CREATE INDEX entity_by_shard ON entity (shard);

-- What a device has reported under: its firmware, and the contract's version that follows from it.
CREATE TABLE sighting (
    entity_key bigint NOT NULL,
    contract text NOT NULL,
    schema_version integer NOT NULL,
    firmware text NOT NULL, -- '' where the contract has none
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL, -- true to some minutes: writing it with each event would cost more than the event
    PRIMARY KEY (entity_key, contract, schema_version, firmware)
) WITH (fillfactor = 70);

CREATE TABLE metric (
    metric_key smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    unit text NOT NULL,
    -- The width of its digests' bins, never changed: null means bins of 0.1 %. Within bounds in which no bin overflows.
    resolution double precision CHECK (resolution BETWEEN 1e-9 AND 1e9)
);

CREATE TABLE sample (
    entity_key bigint NOT NULL,
    event_key uuid NOT NULL, -- the event's id, or one derived from it where it is no UUID
    effective_time timestamptz NOT NULL,
    shard smallint NOT NULL,
    metric_keys smallint [] NOT NULL,
    readings double precision [] NOT NULL,
    -- The partition's column has to be part of it, so it cannot refuse an id that comes with another time: the insert does.
    PRIMARY KEY (entity_key, event_key, effective_time)
) PARTITION BY RANGE (effective_time);

CREATE INDEX sample_by_shard ON sample (shard, effective_time);

-- Events that no sample tells of under their own time. Of a clock that ran ahead: a later try looks less ahead, or not at all,
-- and must not count under another time. Late: what comes later under the same id must not count in its place.
CREATE TABLE settled_event (
    entity_key bigint NOT NULL,
    event_key uuid NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (entity_key, event_key)
);

CREATE INDEX settled_event_by_time ON settled_event USING brin (received_at) WITH (autosummarize = on);

-- Windows whose samples have changed. Only ever added and deleted, never updated: an upsert would lose one (DO NOTHING) or
-- hold up aggregation for a whole roll (DO UPDATE).
CREATE TABLE dirty (
    resolution text NOT NULL CHECK (resolution IN ('1m', '1h', '1d')),
    shard smallint NOT NULL,
    window_start timestamptz NOT NULL,
    entity_key bigint, -- null: every device of the shard
    marked_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX dirty_by_shard ON dirty (shard, resolution, window_start);

-- One row for each shard, which only roll locks. Up to when its minutes have been rolled for the first time: a sample before
-- that is a straggler, and marks its device's window instead of the shard's.
CREATE TABLE shard (
    shard smallint PRIMARY KEY CHECK (shard BETWEEN 0 AND 63),
    closed_until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 25);

INSERT INTO shard (shard) SELECT generate_series(0, 63);

-- Which records a consumer has dealt with, written together with their effect.
CREATE TABLE coverage (
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    offsets int8multirange NOT NULL DEFAULT '{}',
    received_until timestamptz NOT NULL DEFAULT '-infinity', -- the latest reception among them
    PRIMARY KEY (consumer, topic, partition)
) WITH (
    -- Few rows, each updated with every batch: room on their page keeps them there.
    fillfactor = 25,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0
);

-- Records that a consumer passed over, and when the ones around them were received: their windows lack them. A gap is closed
-- by covering its offsets.
CREATE TABLE gap (
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    offsets int8range NOT NULL,
    received_from timestamptz NOT NULL,
    received_to timestamptz NOT NULL,
    PRIMARY KEY (consumer, topic, partition, offsets)
);

-- Offsets alone do not say when a gap was; the moment it comes about, the two sides of it do.
CREATE FUNCTION note_gaps() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    INSERT INTO gap (consumer, topic, partition, offsets, received_from, received_to)
    SELECT new.consumer, new.topic, new.partition, gaps.offsets, old.received_until, new.received_until
    FROM unnest(
        int8multirange(range_merge(new.offsets)) - new.offsets - int8multirange(range_merge(old.offsets))
    ) AS gaps (offsets)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER coverage_notes_gaps AFTER UPDATE OF offsets ON coverage
FOR EACH ROW EXECUTE FUNCTION note_gaps();

-- What became of the records that were covered for the first time; added to, never updated, folded by maintain.
CREATE TABLE outcome (
    consumer text NOT NULL,
    fleet_id text NOT NULL,
    received_hour timestamptz NOT NULL,
    contract text NOT NULL,
    schema_version integer NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('counted', 'late', 'duplicate', 'dead_lettered')),
    events bigint NOT NULL
);

CREATE INDEX outcome_by_fleet ON outcome (fleet_id, received_hour);

-- Fields of known versions that no contract names: kept in raw, left out of aggregation, and listed here.
CREATE TABLE unknown_field (
    fleet_id text NOT NULL,
    contract text NOT NULL,
    schema_version integer NOT NULL,
    field text NOT NULL,
    received_hour timestamptz NOT NULL,
    events bigint NOT NULL
);

CREATE INDEX unknown_field_by_fleet ON unknown_field (fleet_id, received_hour);

-- From when on a store is complete; what lies before must not be computed again from what is left.
CREATE TABLE horizon (
    store text PRIMARY KEY CHECK (store IN ('sample', 'rollup_1m', 'rollup_1h')),
    floor timestamptz NOT NULL DEFAULT '-infinity'
);

INSERT INTO horizon (store) VALUES ('sample'), ('rollup_1m'), ('rollup_1h');

-- One row per entity and window, with arrays over its metrics in the order of their keys: a third of what a row per metric
-- takes. The digest is a sparse histogram: bins are (metric_key << 32) + bin + 2^31, sorted, beside how many are in each.
CREATE TABLE rollup_1m (
    entity_key bigint NOT NULL,
    window_start timestamptz NOT NULL,
    metric_keys smallint [] NOT NULL,
    counts bigint [] NOT NULL,
    means double precision [] NOT NULL,
    m2s double precision [] NOT NULL, -- summed squares of the distances from the mean
    sums double precision [] NOT NULL,
    mins double precision [] NOT NULL,
    maxs double precision [] NOT NULL,
    p50s double precision [] NOT NULL,
    p95s double precision [] NOT NULL,
    bins bigint [] NOT NULL,
    bin_counts bigint [] NOT NULL,
    rolled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (entity_key, window_start)
) PARTITION BY RANGE (window_start);

-- Rows lie in the order they were rolled, which is that of their windows: a slice of time is read without reading the rest.
CREATE INDEX rollup_1m_by_window ON rollup_1m USING brin (window_start);

CREATE TABLE rollup_1h (LIKE rollup_1m INCLUDING ALL) PARTITION BY RANGE (window_start);

CREATE TABLE rollup_1d (LIKE rollup_1m INCLUDING ALL);

-- What was rolled, in an order in which nothing is committed late: read only what is older than every open transaction.
CREATE TABLE change (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    fleet_id text NOT NULL,
    entity_key bigint, -- null: devices of the fleet, many
    resolution text NOT NULL,
    window_start timestamptz NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX change_by_fleet ON change (fleet_id, transaction_id, change_id);
CREATE INDEX change_by_time ON change USING brin (changed_at) WITH (autosummarize = on);

-- Rollups that were moved to Parquet: one row per file, written once its rows were counted there.
CREATE TABLE tiered (
    resolution text NOT NULL CHECK (resolution IN ('1m', '1h')),
    window_from timestamptz NOT NULL,
    window_to timestamptz NOT NULL,
    object text NOT NULL,
    row_count bigint NOT NULL,
    -- The first and the last entity in it, by the bytes of their names ('' for the fleet as a whole): who need not be looked
    -- for in it.
    first_fleet_id text NOT NULL COLLATE "C",
    first_device_id text NOT NULL COLLATE "C",
    last_fleet_id text NOT NULL COLLATE "C",
    last_device_id text NOT NULL COLLATE "C",
    digest text NOT NULL, -- of the file's bytes
    tiered_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (resolution, object)
);

-- The bin a reading falls into: its multiple of the sensor's resolution; 0.1 % steps beyond a million of them, and from
-- 1e-12 on where no resolution is declared. Within 2^22 either way. What rounds to nothing is told apart first: to divide
-- it could underflow, which is an error here.
CREATE FUNCTION bin_of(reading double precision, resolution double precision) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN abs(reading) < coalesce(resolution / 2, 1e-12) THEN 0
    WHEN abs(reading) < resolution * 1048576 THEN round(reading / resolution)::bigint
    ELSE sign(reading)::bigint * (
        CASE WHEN resolution IS NULL THEN 1 ELSE 1048577 END
        + floor(ln(abs(reading) / coalesce(resolution * 1048576, 1e-12)) / ln(1.001::double precision))::bigint
    )
END;

-- The reading in a bin's middle.
CREATE FUNCTION bin_middle(bin bigint, resolution double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN abs(bin) <= CASE WHEN resolution IS NULL THEN 0 ELSE 1048576 END THEN bin * coalesce(resolution, 0)
    ELSE sign(bin::double precision) * coalesce(resolution * 1048576, 1e-12)
        * power(1.001::double precision, abs(bin) - CASE WHEN resolution IS NULL THEN 1 ELSE 1048577 END + 0.5)
END;

-- Adds up {count, sum, summed squares of the distances from the mean} by Chan's formula, with the server's own arithmetic.
CREATE AGGREGATE merged_moments (double precision []) (
    SFUNC = float8_combine, STYPE = double precision [], INITCOND = '{0,0,0}', PARALLEL = SAFE
);

-- TimescaleDB, where the server has it: tables of the same shape, cut into chunks by the extension instead of by us.
DO $$
DECLARE
    store record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb') THEN
        RETURN;
    END IF;
    CREATE EXTENSION IF NOT EXISTS timescaledb;
    FOR store IN
        SELECT * FROM (VALUES
            ('sample', 'effective_time', interval '1 hour', NULL),
            -- Compressed once nothing in it is computed again.
            ('rollup_1m', 'window_start', interval '1 day', interval '7 days'),
            ('rollup_1h', 'window_start', interval '30 days', interval '60 days')
        ) AS stores (name, time_column, chunk, compressed_after)
    LOOP
        -- A partitioned table cannot become a hypertable, a plain one can.
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', store.name || '_plain', store.name);
        EXECUTE format('DROP TABLE %I', store.name);
        EXECUTE format('ALTER TABLE %I RENAME TO %I', store.name || '_plain', store.name);
        PERFORM create_hypertable(
            store.name::regclass, by_range(store.time_column::name, store.chunk), create_default_indexes => false
        );
        -- Compression and policies are under the Timescale licence; the Apache edition goes without them.
        IF store.compressed_after IS NOT NULL AND current_setting('timescaledb.license', true) = 'timescale' THEN
            EXECUTE format(
                'ALTER TABLE %I SET (timescaledb.compress, timescaledb.compress_segmentby = %L, '
                'timescaledb.compress_orderby = %L)',
                store.name, 'entity_key', store.time_column
            );
            PERFORM add_compression_policy(store.name::regclass, store.compressed_after);
            PERFORM add_retention_policy(store.name::regclass, interval '730 days');
        END IF;
    END LOOP;
END
$$;

-- A time as all our outputs write it.
CREATE FUNCTION write_time(moment timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

-- Rollups as readers think of them: a row for each metric of a window.
CREATE VIEW rollups AS
SELECT
    entity.fleet_id,
    entity.device_id,
    metric.name AS metric,
    metric.unit,
    windows.resolution,
    windows.window_start,
    per_metric.count,
    per_metric.avg,
    per_metric.min,
    per_metric.max,
    per_metric.p50,
    per_metric.p95,
    per_metric.sum
FROM (
    SELECT '1m' AS resolution, entity_key, window_start, metric_keys, counts, means, mins, maxs, p50s, p95s, sums
    FROM rollup_1m
    UNION ALL
    SELECT '1h', entity_key, window_start, metric_keys, counts, means, mins, maxs, p50s, p95s, sums
    FROM rollup_1h
    UNION ALL
    SELECT '1d', entity_key, window_start, metric_keys, counts, means, mins, maxs, p50s, p95s, sums
    FROM rollup_1d
) AS windows
INNER JOIN entity ON windows.entity_key = entity.entity_key
CROSS JOIN LATERAL unnest(
    windows.metric_keys, windows.counts, windows.means, windows.mins, windows.maxs, windows.p50s, windows.p95s,
    windows.sums
) AS per_metric (metric_key, count, avg, min, max, p50, p95, sum)
INNER JOIN metric ON per_metric.metric_key = metric.metric_key;

-- Partitions. Those who need one own no table: these functions do for them what an owner may, and nothing else.

-- The hour, day or month that one partition of a store covers, in UTC.
CREATE FUNCTION partition_span(store text, moment timestamptz) RETURNS tstzrange
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = public, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    unit text := CASE store WHEN 'sample' THEN 'hour' WHEN 'rollup_1m' THEN 'day' WHEN 'rollup_1h' THEN 'month' END;
BEGIN
    IF unit IS NULL OR NOT coalesce(isfinite(moment), false) THEN
        RAISE EXCEPTION 'there is no partition of % for %', store, moment USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN tstzrange(date_trunc(unit, moment), date_trunc(unit, moment) + ('1 ' || unit)::interval);
END
$$;

-- Makes the partitions that are missing from one moment to another, both included, and says how many those were. To
-- attach a table takes no lock that readers or writers of the others would wait for. TimescaleDB makes its chunks itself.
CREATE FUNCTION ensure_partitions(store text, first_moment timestamptz, last_moment timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO'
AS $$
DECLARE
    span tstzrange := partition_span(store, first_moment);
    pattern text := CASE store WHEN 'sample' THEN 'YYYYMMDDHH24' WHEN 'rollup_1m' THEN 'YYYYMMDD' ELSE 'YYYYMM' END;
    partition_name text;
    made integer := 0;
BEGIN
    IF upper(partition_span(store, last_moment)) > upper(span) + interval '60 days' THEN
        RAISE EXCEPTION 'too many partitions from % to %', first_moment, last_moment
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = store::regclass) THEN
        RETURN 0;
    END IF;
    -- One at a time, so that everybody finds what somebody else has just made.
    PERFORM pg_advisory_xact_lock(hashtextextended('partitions of ' || store, 0));
    WHILE lower(span) <= last_moment LOOP
        partition_name := store || '_' || to_char(lower(span), pattern);
        IF to_regclass(partition_name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', partition_name, store);
            EXECUTE format(
                'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                store, partition_name, lower(span), upper(span)
            );
            made := made + 1;
        END IF;
        span := partition_span(store, upper(span));
    END LOOP;
    RETURN made;
END
$$;

-- Makes the one partition a row needs, if it is missing; whether it was.
CREATE FUNCTION ensure_partition(store text, moment timestamptz) RETURNS boolean
LANGUAGE sql SECURITY DEFINER
SET search_path = public, pg_temp
RETURN ensure_partitions(store, moment, moment) > 0;

-- The partitions of a store, or the chunks of a hypertable, and what each covers.
CREATE FUNCTION partitions_of(store text) RETURNS TABLE (partition_name text, span tstzrange)
LANGUAGE plpgsql STABLE
SET search_path = public, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO'
AS $$
BEGIN
    PERFORM partition_span(store, now()); -- refuses what is no store
    IF EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = store::regclass) THEN
        RETURN QUERY
        SELECT child.relname::text, tstzrange(bounds[1]::timestamptz, bounds[2]::timestamptz)
        FROM pg_inherits
        INNER JOIN pg_class AS child ON pg_inherits.inhrelid = child.oid
        CROSS JOIN LATERAL regexp_match(
            pg_get_expr(child.relpartbound, child.oid), 'FROM \(''(.+)''\) TO \(''(.+)''\)'
        ) AS bounds
        WHERE pg_inherits.inhparent = store::regclass;
    ELSE
        RETURN QUERY
        SELECT format('%I.%I', chunk_schema, chunk_name), tstzrange(range_start, range_end)
        FROM timescaledb_information.chunks
        WHERE hypertable_name = store;
    END IF;
END
$$;

-- Drops the oldest partition that is no longer needed, and says which; null when there is none. No longer needed is what
-- lies below the floor, which has to be moved first, in a transaction of its own; and of rollups only what was moved to
-- Parquet (all files of a span are recorded in one transaction), or never had a row. It waits for whoever uses the store
-- just then, and everybody who comes later waits for it: set lock_timeout.
CREATE FUNCTION drop_oldest_partition(store text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    moved tstzmultirange := (
        SELECT coalesce(range_agg(tstzrange(window_from, window_to)), '{}') FROM tiered
        WHERE 'rollup_' || resolution = store
    );
    part record;
    needed boolean;
BEGIN
    FOR part IN
        SELECT partition_name, span FROM partitions_of(store)
        WHERE upper(span) <= (SELECT floor FROM horizon WHERE horizon.store = drop_oldest_partition.store)
        ORDER BY lower(span)
    LOOP
        needed := store <> 'sample' AND NOT moved @> part.span;
        IF needed THEN
            EXECUTE format(
                'SELECT EXISTS (SELECT FROM %I WHERE window_start >= %L AND window_start < %L)',
                store, lower(part.span), upper(part.span)
            ) INTO needed;
        END IF;
        IF NOT needed THEN
            IF EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = store::regclass) THEN
                EXECUTE format('DROP TABLE %I', part.partition_name);
            ELSE
                PERFORM drop_chunks(
                    store::regclass, older_than => upper(part.span), newer_than => lower(part.span)
                );
            END IF;
            RETURN part.partition_name;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION ensure_partitions, ensure_partition, drop_oldest_partition FROM PUBLIC;

-- The first partitions; from here on maintain makes them ahead of time.
SELECT ensure_partitions(store, now() - interval '1 day', now() + interval '48 hours') FROM horizon;

-- Each function has a role of its own, which may what the function does and nothing else.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['aggregate', 'roll', 'maintain', 'tier', 'query'] LOOP
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

GRANT SELECT, INSERT ON entity, metric, sample, settled_event TO sluice_aggregate;
GRANT SELECT, INSERT, UPDATE ON sighting, coverage TO sluice_aggregate;
GRANT INSERT ON dirty, outcome, unknown_field TO sluice_aggregate;
GRANT SELECT ON shard, horizon TO sluice_aggregate;
GRANT EXECUTE ON FUNCTION ensure_partition TO sluice_aggregate, sluice_roll;

GRANT SELECT ON entity, metric, sample, coverage TO sluice_roll;
GRANT SELECT, INSERT, DELETE ON dirty TO sluice_roll;
GRANT SELECT, UPDATE (closed_until) ON shard TO sluice_roll;
GRANT SELECT, INSERT, UPDATE, DELETE ON rollup_1m, rollup_1h, rollup_1d TO sluice_roll;
GRANT SELECT, INSERT ON change TO sluice_roll;
-- To lock a row against changes takes the right to update some column of it. There are as many rows as there may be
-- stores, so that this column cannot be changed.
GRANT SELECT, UPDATE (store) ON horizon TO sluice_roll;

GRANT SELECT, UPDATE (floor) ON horizon TO sluice_maintain, sluice_tier;
GRANT EXECUTE ON FUNCTION drop_oldest_partition TO sluice_maintain, sluice_tier;

GRANT SELECT ON dirty, tiered TO sluice_maintain;
GRANT SELECT, INSERT, DELETE ON outcome, unknown_field TO sluice_maintain;
GRANT SELECT, DELETE ON change, settled_event, sighting, rollup_1d TO sluice_maintain;
GRANT EXECUTE ON FUNCTION ensure_partitions TO sluice_maintain;

GRANT SELECT ON entity, metric, shard, dirty, rollup_1m, rollup_1h TO sluice_tier;
GRANT SELECT, INSERT, DELETE ON tiered TO sluice_tier;

GRANT SELECT ON
    fleet, api_key, entity, sighting, metric, sample, dirty, shard, coverage, gap, outcome, unknown_field, horizon,
    rollup_1m, rollup_1h, rollup_1d, rollups, change, tiered
TO sluice_query;
