-- checkpoint reads the audit and nothing else.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sluice_checkpoint') THEN
        CREATE ROLE sluice_checkpoint LOGIN;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
        GRANT rds_iam TO sluice_checkpoint;
    END IF;
END
$$;

GRANT SELECT ON audit TO sluice_checkpoint;
