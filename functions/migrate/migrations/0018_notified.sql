-- Readers see when an incident's first message was delivered.
GRANT SELECT ON delivery TO sluice_query;
