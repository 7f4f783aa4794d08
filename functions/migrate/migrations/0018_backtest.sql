-- Backtests: which incidents a rule would have opened over stored days; and which incidents someone called false alarms.

CREATE TABLE backtest (
    backtest_number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fleet_id text NOT NULL,
    rule_id text NOT NULL,
    -- The version of a saved rule whose promise this is. Null: somebody asked.
    promised_version integer,
    -- The rule as functions read it: it may be changed or archived before its turn comes.
    rule jsonb NOT NULL,
    days smallint NOT NULL CHECK (days BETWEEN 1 AND 30),
    principal text NOT NULL,
    asked_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    -- How often it was started, and when it was last known to go on. A run that died does not come back to it.
    tries smallint NOT NULL DEFAULT 0,
    claimed_at timestamptz,
    ended_at timestamptz,
    -- How many devices are tested so far, of how many.
    devices integer NOT NULL DEFAULT 0,
    rule_devices integer,
    result jsonb,
    trouble text NOT NULL DEFAULT '',
    CHECK ((state IN ('done', 'failed')) = (ended_at IS NOT NULL)),
    CHECK ((state = 'done') = (result IS NOT NULL))
);

CREATE UNIQUE INDEX backtest_promise ON backtest (fleet_id, rule_id, promised_version)
WHERE promised_version IS NOT NULL;
CREATE INDEX backtest_waiting ON backtest (backtest_number) WHERE state IN ('waiting', 'running');
CREATE INDEX backtest_by_age ON backtest (ended_at);

-- Whether someone has said that nothing was wrong. Of an incident that nobody marked this is not known.
ALTER TABLE incident ADD COLUMN false_alarm boolean NOT NULL DEFAULT FALSE;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sluice_backtest') THEN
        CREATE ROLE sluice_backtest LOGIN;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
        GRANT rds_iam TO sluice_backtest;
    END IF;
END
$$;

GRANT SELECT ON entity, fleet, horizon, metric, rollup_1h, rollup_1m, rule, shard, sighting, tiered TO sluice_backtest;
GRANT SELECT, UPDATE (state, tries, claimed_at, ended_at, devices, rule_devices, result, trouble)
    ON backtest TO sluice_backtest;

GRANT SELECT, INSERT ON backtest TO sluice_admin;
GRANT UPDATE (false_alarm) ON incident TO sluice_admin;
-- On how many days of how many devices a rule has judged, for the report about it.
GRANT SELECT ON entity, metric, rollup_1d, rollup_1m TO sluice_admin;

-- The promise of a rule that is not archived stays.
GRANT SELECT, DELETE ON backtest TO sluice_maintain;
GRANT SELECT ON rule TO sluice_maintain;
