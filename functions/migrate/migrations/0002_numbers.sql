-- Samples and what is computed from them.
--
-- Samples are a set: an event is in it once, however often it comes. Rollups are a function of that set, and every one of
-- them can be computed again. What has to be computed again is written down as markers that are only ever added.

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
    -- The width of its digests' bins, never changed: null means bins of 0.1 %.
    resolution double precision CHECK (resolution > 0)
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

-- Events whose device's clock ran ahead: a later try of the same event looks less ahead, or not at all, and must not count
-- under another time.
CREATE TABLE clock_ahead (
    entity_key bigint NOT NULL,
    event_key uuid NOT NULL,
    effective_time timestamptz NOT NULL,
    PRIMARY KEY (entity_key, event_key)
);

-- Windows whose samples have changed. Only ever added and deleted, never updated: an upsert would lose one (DO NOTHING) or
-- hold up aggregation for a whole roll (DO UPDATE).
CREATE TABLE dirty (
    resolution text NOT NULL CHECK (resolution IN ('1m', '1h', '1d')),
    shard smallint NOT NULL,
    window_start timestamptz NOT NULL,
    entity_key bigint, -- null: every device of the shard
    marked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX dirty_by_shard ON dirty (shard, resolution, window_start);

-- One row for each shard, which only roll locks. Up to when its minutes have been rolled for the first time: a sample before
-- that is a straggler, and marks its device's window instead of the shard's.
CREATE TABLE shard (
    shard smallint PRIMARY KEY CHECK (shard BETWEEN 0 AND 63),
    closed_until timestamptz NOT NULL DEFAULT '-infinity'
);

INSERT INTO shard (shard) SELECT generate_series(0, 63);

-- Which records a consumer has dealt with, written together with their effect.
CREATE TABLE coverage (
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    offsets int8multirange NOT NULL DEFAULT '{}',
    received_until timestamptz NOT NULL DEFAULT '-infinity', -- the latest reception among them
    PRIMARY KEY (consumer, topic, partition)
) WITH (fillfactor = 50);

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

-- Rollups that were moved to Parquet: one row per file, written once its rows were counted there.
CREATE TABLE tiered (
    resolution text NOT NULL CHECK (resolution IN ('1m', '1h')),
    window_from timestamptz NOT NULL,
    window_to timestamptz NOT NULL,
    object text NOT NULL,
    row_count bigint NOT NULL,
    digest text NOT NULL, -- of the file's bytes
    tiered_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (resolution, object)
);

-- The bin a reading falls into: its multiple of the sensor's resolution; 0.1 % steps beyond a million of them, and from
-- 1e-12 on where no resolution is declared. Within 2^22 either way.
CREATE FUNCTION bin_of(reading double precision, resolution double precision) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN abs(reading) < resolution * 1048576 THEN round(reading / resolution)::bigint
    WHEN resolution IS NULL AND abs(reading) < 1e-12 THEN 0
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
