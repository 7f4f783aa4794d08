-- Who tells what became of one event: reads, and changes nothing.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sluice_trace') THEN
        CREATE ROLE sluice_trace LOGIN;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
        GRANT rds_iam TO sluice_trace;
    END IF;
END
$$;

GRANT SELECT ON api_key, fleet, entity, sample, settled_event, coverage, gap, shard, dirty, horizon TO sluice_trace;
