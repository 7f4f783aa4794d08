-- When an admin tested a destination last: tests are spaced out.

ALTER TABLE destination ADD COLUMN tested_at timestamptz;

GRANT UPDATE (tested_at) ON destination TO sluice_admin;
