-- Readers see when an incident's first message was delivered.
GRANT SELECT ON delivery TO sluice_query;

-- A backtest of a rule for a type is of the devices that have it.
GRANT SELECT ON device_type TO sluice_backtest;

-- The report about a rule for a type counts the days of the devices that have it.
GRANT SELECT ON device_type TO sluice_admin;
