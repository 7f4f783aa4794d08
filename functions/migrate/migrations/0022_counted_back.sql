-- What a replay counts of what aggregate could not read, and what it has counted.

-- Records of aggregate that the ledger has as dead-lettered and that are in no gap, and what they were counted under.
-- Written in the transaction that counts them. A record that counts after all leaves in the transaction that counts it.
CREATE TABLE dead_lettered_record (
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    fleet_id text NOT NULL,
    received_hour timestamptz NOT NULL,
    contract text NOT NULL,
    schema_version integer NOT NULL,
    PRIMARY KEY (consumer, topic, partition, kafka_offset)
);

-- For each replay and partition, the records that it has accounted for in the place of their consumer.
CREATE TABLE counted_back (
    replay_number integer NOT NULL,
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    offsets int8multirange NOT NULL,
    counted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (replay_number, consumer, topic, partition)
);

-- A recreated topic has the same offsets again.
CREATE OR REPLACE FUNCTION put_coverage_aside(text, text, integer, begun_at timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    aside text := $2 || '@' || write_time($4);
BEGIN
    UPDATE coverage AS c SET topic = aside WHERE (c.consumer, c.topic, c.partition) = ($1, $2, $3);
    UPDATE gap AS g SET topic = aside WHERE (g.consumer, g.topic, g.partition) = ($1, $2, $3);
    UPDATE dead_lettered_record AS d SET topic = aside WHERE (d.consumer, d.topic, d.partition) = ($1, $2, $3);
    UPDATE counted_back AS b SET topic = aside WHERE (b.consumer, b.topic, b.partition) = ($1, $2, $3);
    DELETE FROM hole AS h WHERE (h.consumer, h.topic, h.partition) = ($1, $2, $3);
    DELETE FROM missing_event AS m WHERE (m.consumer, m.topic, m.partition) = ($1, $2, $3);
    INSERT INTO coverage (consumer, topic, partition, begun_at)
    VALUES ($1, $2, $3, $4);
END
$$;

GRANT SELECT, INSERT, DELETE ON dead_lettered_record TO sluice_aggregate;
GRANT INSERT ON dead_lettered_record TO sluice_reconcile;
GRANT SELECT, DELETE ON dead_lettered_record TO sluice_replay, sluice_maintain;

GRANT SELECT, INSERT ON counted_back TO sluice_replay;
GRANT SELECT ON counted_back TO sluice_redrive, sluice_trace;
GRANT SELECT, DELETE ON counted_back TO sluice_maintain;

-- A re-drive of an earlier release counts a record and leaves it in the first of these tables.
GRANT SELECT ON redrive_letter TO sluice_replay;
