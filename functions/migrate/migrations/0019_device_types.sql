-- Types that the directory gives to single devices of fleets whose rules name a type.

-- Ids are compared by their bytes, as the directory orders them.
CREATE TABLE device_type (
    fleet_id text NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    device_type text NOT NULL,
    PRIMARY KEY (fleet_id, device_id)
);

-- How far learn has read a fleet's types.
CREATE TABLE device_types_read (
    fleet_id text PRIMARY KEY,
    -- Since when a rule names a type.
    wanted_at timestamptz NOT NULL,
    -- When a reading was begun or ended last, and when one reached the fleet's last device.
    tried_at timestamptz NOT NULL DEFAULT '-infinity',
    completed_at timestamptz NOT NULL DEFAULT '-infinity',
    -- When the directory failed, if it has not answered since.
    failed_at timestamptz NOT NULL DEFAULT '-infinity',
    -- The last device of the pages that were read; empty between two readings.
    after text NOT NULL DEFAULT '',
    -- How many pages that reading has had.
    pages integer NOT NULL DEFAULT 0
);

GRANT SELECT, INSERT, UPDATE, DELETE ON device_type, device_types_read TO sluice_learn;
