-- What is usual for the series of each device, as learn computes it from rollups.

-- A day's work: what the readings of the last days were like.
CREATE TABLE baseline (
    entity_key bigint NOT NULL,
    metric_key smallint NOT NULL,
    shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 63),
    computed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- From when on readings count: later than the days before it if the device is newer, or if it changed its firmware and
    -- the level changed with that.
    since timestamptz NOT NULL,
    -- The firmware with which the level changed.
    restarted_by text,
    -- By the hour of a working day (1 to 24) and of a day at the weekend (25 to 48), in UTC. Where such an hour had few
    -- readings, the same hour of all days stands for it, or all hours.
    counts bigint [] NOT NULL,
    means double precision [] NOT NULL,
    deviations double precision [] NOT NULL,
    low double precision NOT NULL,
    high double precision NOT NULL,
    -- Of the hours' means, and the least deviation within an hour.
    hour_count integer NOT NULL,
    hour_mean double precision NOT NULL,
    hour_deviation double precision NOT NULL,
    least_deviation double precision NOT NULL,
    -- Between two readings, in the middle of the hours.
    interval_seconds double precision NOT NULL,
    -- Between two minutes that have readings of the device: 19 of 20 such times are shorter.
    gap_seconds double precision NOT NULL,
    -- The hours of the day, in UTC, in which readings came on half of the days: a bit for each.
    active_hours integer NOT NULL,
    PRIMARY KEY (entity_key, metric_key),
    CHECK (cardinality(counts) = 48 AND cardinality(means) = 48 AND cardinality(deviations) = 48)
);

CREATE INDEX baseline_by_shard ON baseline (shard);

-- How far learn is with each shard.
CREATE TABLE learned (
    shard smallint PRIMARY KEY CHECK (shard BETWEEN 0 AND 63),
    -- When statistics were published, and when baselines were computed.
    published_at timestamptz NOT NULL DEFAULT '-infinity',
    baselines_at timestamptz NOT NULL DEFAULT '-infinity',
    -- When each was last begun: a shard that fails every time waits for its turn like the others.
    tried_at timestamptz NOT NULL DEFAULT '-infinity',
    baselines_tried_at timestamptz NOT NULL DEFAULT '-infinity',
    -- Of each fleet: how many devices of the shard should send now, and how many of these are silent.
    expected jsonb NOT NULL DEFAULT '{}'
) WITH (fillfactor = 25);

INSERT INTO learned (shard) SELECT generate_series(0, 63);

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sluice_learn') THEN
        CREATE ROLE sluice_learn LOGIN;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
        GRANT rds_iam TO sluice_learn;
    END IF;
END
$$;

GRANT SELECT ON entity, metric, sighting, shard, rollup_1m, rollup_1h TO sluice_learn;
GRANT SELECT, INSERT, UPDATE, DELETE ON baseline TO sluice_learn;
GRANT SELECT, UPDATE (published_at, baselines_at, tried_at, baselines_tried_at, expected) ON learned TO sluice_learn;
-- The band of a baseline is drawn beside its series.
GRANT SELECT ON baseline TO sluice_query;
