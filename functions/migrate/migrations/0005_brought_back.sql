-- aggregate brings back what was given up: a record that comes again and can be read now leaves its gap and counts.

GRANT SELECT, INSERT, DELETE, UPDATE (given_up) ON gap TO sluice_aggregate;
