"""Reading the facts of a statement; reconcile and readers share one query."""

from collections.abc import Callable
from datetime import date, timedelta

from sluice.core.consumers import ACCOUNTED
from sluice.core.ledger.statement import SETTLED, LedgerFacts

MOST_LISTED = 200

# For each partition: the covered part of [0, last), and of the rest the committed and the missing part.
FACTS = """
    WITH place AS (
        SELECT
            s.consumer, s.topic, s.partition, s.asked_at, s.first_offset AS first, s.last_offset AS last,
            int8multirange(int8range(0, s.last_offset)) - coalesce(c.offsets, '{}') AS open,
            int8range(s.committed_offset, s.last_offset) AS uncommitted,
            coalesce(c.offsets, '{}') * int8multirange(int8range(s.last_offset, NULL)) AS ahead
        FROM standing AS s LEFT JOIN coverage AS c USING (consumer, topic, partition)
    ), counted AS (
        SELECT
            consumer, last,
            (SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(open) AS r) AS open,
            (SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(ahead) AS r) AS ahead,
            (SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(open * int8multirange(uncommitted)) AS r)
                AS in_flight,
            (SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(open * lacking.offsets) AS r) AS missing,
            (
                SELECT coalesce(sum(upper(r) - lower(r)), 0)
                FROM unnest(open * lacking.offsets * int8multirange(int8range(0, first))) AS r
            ) AS lost
        FROM place
        CROSS JOIN LATERAL (
            SELECT coalesce(range_agg(offsets), '{}') AS offsets FROM hole
            WHERE hole.consumer = place.consumer AND hole.topic = place.topic AND hole.partition = place.partition
            AND hole.missing
        ) AS lacking
    ), noticed AS (
        SELECT topic, partition, consumer, noticed_at, range_agg(offsets) AS offsets
        FROM hole WHERE missing AND consumer = ANY ($5::text[])
        GROUP BY topic, partition, consumer, noticed_at
    ), lacked AS (
        -- A consumer's account shows the events it has; events that every consumer is missing are in no account.
        SELECT topic, partition, range_intersect_agg(offsets) AS offsets
        FROM (
            SELECT topic, partition, range_agg(offsets) AS offsets FROM noticed GROUP BY topic, partition, consumer
        ) AS of_each
        GROUP BY topic, partition HAVING count(*) = cardinality($5::text[])
    ), named AS (
        SELECT topic, partition, range_agg(int8range(kafka_offset, kafka_offset, '[]')) AS offsets
        FROM missing_event WHERE fleet_id <> '' AND received_at IS NOT NULL
        GROUP BY topic, partition
    ), known AS (SELECT fleet_id FROM fleet WHERE $2 IN ('', fleet_id) UNION SELECT '' WHERE $2 = '')
    SELECT json_build_object(
        'as_of', (SELECT write_time(min(asked_at)) FROM standing),
        'unnamed_until', (
            -- An offset was received before the first consumer was noticed to miss it.
            SELECT write_time(max(n.noticed_at))
            FROM noticed AS n JOIN lacked USING (topic, partition) LEFT JOIN named USING (topic, partition)
            WHERE NOT isempty(
                n.offsets * lacked.offsets - coalesce(named.offsets, '{}') - coalesce(
                    (
                        SELECT range_agg(earlier.offsets) FROM noticed AS earlier
                        WHERE earlier.topic = n.topic AND earlier.partition = n.partition
                        AND earlier.noticed_at < n.noticed_at
                    ),
                    '{}'
                )
            )
        ),
        'redriving', (
            -- What a re-drive has sent stays under way when it is cancelled.
            SELECT coalesce(json_agg(DISTINCT fleet_id), '[]') FROM redrive
            WHERE $2 IN ('', fleet_id) AND (
                state IN ('sending', 'draining')
                OR moved_at > clock_timestamp() - make_interval(secs => $6::int) AND EXISTS (
                    SELECT FROM redrive_letter AS letter
                    WHERE letter.redrive_number = redrive.redrive_number AND letter.state IN ('sending', 'accepted')
                )
            )
        ),
        'tallies', (
            SELECT coalesce(json_agg(tally), '[]') FROM (
                SELECT known.fleet_id, consumer, outcome, sum(events) AS events
                FROM known JOIN outcome USING (fleet_id)
                WHERE received_hour >= to_timestamp($1::bigint) AND received_hour < to_timestamp($3::bigint)
                GROUP BY known.fleet_id, consumer, outcome
            ) AS tally
        ),
        'positions', (
            SELECT coalesce(json_agg(position ORDER BY array_position($5::text[], consumer)), '[]') FROM (
                SELECT
                    consumer, sum(last) AS accepted, sum(last - open) AS covered, sum(in_flight) AS in_flight,
                    sum(open - in_flight - missing) AS under_way, sum(missing) AS missing, sum(lost) AS lost,
                    sum(ahead) AS ahead
                FROM counted GROUP BY consumer
            ) AS position
        ),
        'missing', (
            SELECT coalesce(json_agg(event ORDER BY event.consumer, event.kafka_partition, event.kafka_offset), '[]')
            FROM (
                SELECT
                    m.consumer, fleet_id, device_id, event_id, write_time(received_at) AS received_at,
                    partition AS kafka_partition, kafka_offset, kafka_offset >= coalesce(place.first, 0) AS in_kafka
                FROM missing_event AS m JOIN known USING (fleet_id) LEFT JOIN place USING (consumer, topic, partition)
                ORDER BY m.consumer, partition, kafka_offset LIMIT $4::int
            ) AS event
        ),
        'replays', (
            SELECT coalesce(json_agg(found.replay ORDER BY found.claimed_at DESC), '[]')
            FROM (
                SELECT claimed_at, json_build_object(
                    'replay_id', 'replay-' || left(plan_hash, 16), 'fleet_id', fleet_id,
                    'from', write_time(lower(hours)), 'to', write_time(upper(hours)), 'state', state,
                    'counted', (own ->> 'counted_back')::bigint,
                    'removed', (own ->> 'removed')::bigint, 'added', (own ->> 'added')::bigint
                ) AS replay
                FROM replay
                CROSS JOIN LATERAL (
                    SELECT '{"counted_back": 0, "removed": 0, "added": 0}'::jsonb || counts AS own
                    WHERE $2 IN ('', fleet_id)
                    UNION ALL SELECT '{}' WHERE $2 NOT IN ('', coalesce(fleet_id, ''))
                ) AS seen
                WHERE hours && tstzrange(to_timestamp($1::bigint), to_timestamp($3::bigint))
                AND ($2 = '' OR fleet_id IS NULL OR fleet_id = $2)
                ORDER BY claimed_at DESC LIMIT $4::int
            ) AS found
        )
    )
"""

Ask = Callable[[type[LedgerFacts], str, str, str, str, str, str, str], LedgerFacts]


def read_facts(ask: Ask, day: date, fleet_id: str = "") -> LedgerFacts:
    """Read a day's facts, of one fleet or, without one, of all."""
    start = (day - date(1970, 1, 1)) // timedelta(seconds=1)
    consumers = ",".join(consumer.name for consumer in ACCOUNTED)
    settled = SETTLED // timedelta(seconds=1)
    parameters = str(start), fleet_id, str(start + 24 * 3600), str(MOST_LISTED), f"{{{consumers}}}", str(settled)
    return ask(LedgerFacts, FACTS, *parameters)
