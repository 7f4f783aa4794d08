-- Settings of a fleet that later functions read.

ALTER TABLE fleet
    -- The class in which its raw events are to be kept.
    ADD COLUMN retention_days integer NOT NULL DEFAULT 90 CHECK (retention_days IN (30, 90, 180, 365, 730)),
    -- The type of its devices, where the directory names none.
    ADD COLUMN device_type text;

GRANT UPDATE (retention_days, device_type) ON fleet TO sluice_admin;
