-- Letters of a consumer go to that consumer alone.

-- Whose letters a re-drive takes up.
ALTER TABLE redrive ADD COLUMN consumer text NOT NULL DEFAULT 'ingest';

-- The consumer that a record is given to; null for an event that every consumer must account for. Then the letter's id is
-- derived from the consumer and the record: two records may have the same bytes.
ALTER TABLE redrive_letter ADD COLUMN consumer text;
-- The place of such a record is known before it is given.
-- squawk-ignore ban-drop-constraint
ALTER TABLE redrive_letter DROP CONSTRAINT redrive_letter_check;
ALTER TABLE redrive_letter ADD CONSTRAINT redrive_letter_place
CHECK (state NOT IN ('accepted', 'accounted') OR kafka_offset IS NOT NULL) NOT VALID;

-- The column is new: no row is in the index yet, and the table is small.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX redrive_letter_given ON redrive_letter (consumer, kafka_partition, kafka_offset)
WHERE consumer IS NOT NULL AND state IN ('sending', 'accepted');

-- A record that aggregate could not read is in no gap. While it is given again, its window lacks it, and it is one.
GRANT SELECT, INSERT, DELETE, UPDATE (given_up) ON gap TO sluice_redrive;

-- A replay lets the hours and days that it has marked be due at once.
GRANT UPDATE (marked_at) ON dirty TO sluice_replay;

-- archive's part: a row that comes after the record's dead letter is recovered, and the letter's record is accounted for.
GRANT DELETE ON gap TO sluice_reconcile;
GRANT UPDATE (state, changed_at) ON redrive_letter TO sluice_reconcile;
