-- Readers see when an incident's first message was delivered.
GRANT SELECT ON delivery TO sluice_query;

-- A backtest of a rule for a type is of the devices that have it.
GRANT SELECT ON device_type TO sluice_backtest;
-- It waits until the types of a fleet are read for the first time.
GRANT SELECT ON device_types_read TO sluice_backtest;

-- A version that is saved ends the promises of earlier ones that still wait.
GRANT UPDATE (state, ended_at, trouble) ON backtest TO sluice_admin;

-- The report about a rule for a type counts the days of the devices that have it.
GRANT SELECT ON device_type TO sluice_admin;
