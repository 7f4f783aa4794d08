-- publish reads control data and writes nothing here: the documents are in S3 and Valkey.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sluice_publish') THEN
        CREATE ROLE sluice_publish LOGIN;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
        GRANT rds_iam TO sluice_publish;
    END IF;
END
$$;

GRANT SELECT ON fleet, api_key TO sluice_publish;
