-- The ledger's other half: what is stored, what the brokers hold, and what lies between.

-- archive and ingest come in. The rows that are there keep to less, so that nothing has to be read again.
-- squawk-ignore ban-drop-constraint
ALTER TABLE outcome DROP CONSTRAINT outcome_outcome_check;
ALTER TABLE outcome ADD CONSTRAINT outcome_outcome_check
CHECK (outcome IN ('counted', 'late', 'duplicate', 'dead_lettered', 'archived', 'rejected')) NOT VALID;

-- From which reception on offsets are this topic's, where one of the same name was there before it.
ALTER TABLE coverage ADD COLUMN begun_at timestamptz NOT NULL DEFAULT '-infinity';

-- What was given up to the dead letters is accounted for, and in no number: its windows stay gaps.
ALTER TABLE gap ADD COLUMN given_up boolean NOT NULL DEFAULT false;

-- archive's files come in any order: only aggregate passes records over when it leaves a hole.
CREATE OR REPLACE FUNCTION note_gaps() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    INSERT INTO gap (consumer, topic, partition, offsets, received_from, received_to)
    SELECT new.consumer, new.topic, new.partition, gaps.offsets, old.received_until, new.received_until
    FROM unnest(
        int8multirange(range_merge(new.offsets)) - new.offsets - int8multirange(range_merge(old.offsets))
    ) AS gaps (offsets)
    WHERE new.consumer = 'aggregate'
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

-- Objects whose rows or letters are counted, each in the transaction of its counts. An object that was written again has
-- another tag, and is looked through again: what is covered is not counted twice.
CREATE TABLE counted_object (
    object text COLLATE "C" PRIMARY KEY,
    etag text NOT NULL,
    row_count bigint NOT NULL,
    new_count bigint NOT NULL, -- of its rows, those that no other object had told of before
    counted_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX counted_object_by_time ON counted_object USING brin (counted_at) WITH (autosummarize = on);

-- Letters of what was rejected, each once a day however often it was sent: they have no offset to be known by.
CREATE TABLE counted_letter (
    day date NOT NULL,
    letter uuid NOT NULL, -- the first half of its id
    PRIMARY KEY (day, letter)
);

-- What the brokers last said of a partition, and how far a consumer had committed.
CREATE TABLE standing (
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    first_offset bigint NOT NULL,
    committed_offset bigint NOT NULL,
    last_offset bigint NOT NULL, -- the one that comes next
    asked_at timestamptz NOT NULL,
    PRIMARY KEY (consumer, topic, partition)
);

-- Offsets that a consumer has committed and that nothing accounts for, since when, and when they were last run again.
-- Those that stay longer than they may are missing.
CREATE TABLE hole (
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    offsets int8range NOT NULL,
    noticed_at timestamptz NOT NULL,
    rerun_at timestamptz,
    missing boolean NOT NULL,
    PRIMARY KEY (consumer, topic, partition, offsets)
);

-- Which events are missing, as far as Kafka still tells; some of them, where there are many.
CREATE TABLE missing_event (
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    fleet_id text NOT NULL, -- '' where the record does not say
    device_id text,
    event_id text,
    received_at timestamptz,
    PRIMARY KEY (consumer, topic, partition, kafka_offset)
);

-- A topic that was made anew begins at offset 0 again. What was covered of the old one is put aside under a name of its
-- own, so that nothing of the new one is taken for dealt with. Its windows stay what they are, and so do their gaps.
CREATE FUNCTION put_coverage_aside(text, text, integer, begun_at timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    aside text := $2 || '@' || write_time($4);
BEGIN
    UPDATE coverage AS c SET topic = aside WHERE (c.consumer, c.topic, c.partition) = ($1, $2, $3);
    UPDATE gap AS g SET topic = aside WHERE (g.consumer, g.topic, g.partition) = ($1, $2, $3);
    DELETE FROM hole AS h WHERE (h.consumer, h.topic, h.partition) = ($1, $2, $3);
    DELETE FROM missing_event AS m WHERE (m.consumer, m.topic, m.partition) = ($1, $2, $3);
    INSERT INTO coverage (consumer, topic, partition, begun_at)
    VALUES ($1, $2, $3, $4);
END
$$;

REVOKE ALL ON FUNCTION put_coverage_aside FROM PUBLIC;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sluice_reconcile') THEN
        CREATE ROLE sluice_reconcile LOGIN;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
        GRANT rds_iam TO sluice_reconcile;
    END IF;
END
$$;

GRANT SELECT, INSERT, UPDATE ON coverage, counted_object, standing TO sluice_reconcile;
GRANT SELECT, INSERT, DELETE ON hole, missing_event TO sluice_reconcile;
GRANT SELECT, INSERT ON outcome, counted_letter TO sluice_reconcile;
GRANT SELECT, INSERT, UPDATE (given_up) ON gap TO sluice_reconcile;
GRANT SELECT ON fleet TO sluice_reconcile;
GRANT EXECUTE ON FUNCTION put_coverage_aside TO sluice_aggregate, sluice_reconcile;

GRANT SELECT, DELETE ON counted_object, counted_letter TO sluice_maintain;

GRANT SELECT ON standing, hole, missing_event TO sluice_query;
