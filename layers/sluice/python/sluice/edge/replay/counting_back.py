"""The ledger after a swap: events that aggregate had never counted, had given up, or could not read, are accounted for.

Events that it had counted keep their outcome: they were counted once, and still are.
"""

from collections import Counter
from collections.abc import Collection
from typing import Any

from sluice.core.consumers import AGGREGATE, COUNTED, DEAD_LETTERED, DUPLICATE, LATE, RAW_EVENTS
from sluice.core.ledger.groups import LedgerGroup
from sluice.core.records import Origin
from sluice.edge.database import Connection
from sluice.edge.ledger.counted_back import lock_counting, note_counted_back
from sluice.edge.ledger.coverage import extend_coverage, lock_places, span_partitions
from sluice.edge.ledger.dead_lettered import take_dead_lettered
from sluice.edge.ledger.given_up import take_from_gaps
from sluice.edge.ledger.tallies import count_outcomes
from sluice.edge.replay.tables import Replay

# Of each partition: the records of the hours that aggregate has passed over, has given up, or could not read. Those
# that it has not come to yet are its own to account for. Nor has anything changed for those of hours that had expired
# and were left. aggregate of the release before counts a re-driven record, and leaves its note; what a re-drive has not
# counted yet is in a gap. A recreated topic has the same places again, under later receptions.
_OPEN = """
    SELECT g.raw_partition, g.raw_offset
    FROM generation AS g
    JOIN coverage AS c ON c.consumer = %(consumer)s AND c.topic = %(topic)s AND c.partition = g.raw_partition
    WHERE g.replay_number = %(number)s AND g.raw_offset < upper(c.offsets) AND g.received_at >= c.begun_at
        AND g.effective_time >= %(hours_from)s AND g.effective_time < %(hours_to)s
        AND (
            NOT c.offsets @> g.raw_offset
            OR EXISTS (
                SELECT FROM gap
                WHERE gap.consumer = c.consumer AND gap.topic = c.topic AND gap.partition = c.partition
                    AND gap.given_up AND gap.offsets @> g.raw_offset
            )
            OR EXISTS (
                SELECT FROM dead_lettered_record AS noted
                WHERE noted.consumer = c.consumer AND noted.topic = c.topic AND noted.partition = g.raw_partition
                    AND noted.kafka_offset = g.raw_offset
                    AND NOT EXISTS (
                        SELECT FROM redrive_letter AS letter
                        WHERE letter.consumer = noted.consumer AND letter.kafka_partition = noted.partition
                            AND letter.kafka_offset = noted.kafka_offset AND letter.changed_at >= c.begun_at
                            AND letter.state IN ('sending', 'accepted', 'accounted')
                    )
            )
        )
        AND NOT EXISTS (
            SELECT FROM replay_swap AS unit
            WHERE unit.replay_number = g.replay_number AND unit.shard = g.shard AND unit.expired
                AND unit.hour = date_trunc('hour', g.effective_time, 'UTC')
        )
"""

# How each of some records counts now: it is the sample, or it is late, or another copy is or was counted in its place.
_OUTCOMES = """
    WITH open AS MATERIALIZED (
        SELECT raw_partition, raw_offset, c.begun_at
        FROM unnest(%(partitions)s::integer[], %(offsets)s::bigint[]) AS one (raw_partition, raw_offset)
        JOIN coverage AS c
            ON c.consumer = %(consumer)s AND c.topic = %(topic)s AND c.partition = one.raw_partition
    )
    SELECT
        e.fleet_id, date_trunc('hour', g.received_at, 'UTC'), g.contract, g.schema_version,
        CASE
            WHEN EXISTS (
                SELECT FROM generation AS other
                WHERE other.replay_number = g.replay_number AND other.entity_key = g.entity_key
                    AND other.event_key = g.event_key
                    AND (
                        (other.raw_partition, other.raw_offset, other.received_at)
                            < (g.raw_partition, g.raw_offset, g.received_at)
                        -- aggregate came to a later copy, and counted that one.
                        OR other.raw_offset <> g.raw_offset AND NOT other.late
                        AND NOT EXISTS (
                            SELECT FROM open
                            WHERE open.raw_partition = other.raw_partition AND open.raw_offset = other.raw_offset
                        )
                        AND EXISTS (
                            SELECT FROM coverage AS c
                            WHERE c.consumer = %(consumer)s AND c.topic = %(topic)s
                                AND c.partition = other.raw_partition
                                AND (c.offsets @> other.raw_offset OR other.received_at < c.begun_at)
                        )
                        AND NOT EXISTS (
                            SELECT FROM gap
                            WHERE gap.consumer = %(consumer)s AND gap.topic = %(topic)s
                                AND gap.partition = other.raw_partition
                                AND gap.given_up AND gap.offsets @> other.raw_offset
                        )
                        AND NOT EXISTS (
                            SELECT FROM dead_lettered_record AS noted
                            WHERE noted.consumer = %(consumer)s AND noted.topic = %(topic)s
                                AND noted.partition = other.raw_partition AND noted.kafka_offset = other.raw_offset
                        )
                    )
            ) THEN %(duplicate)s
            WHEN EXISTS (
                SELECT FROM sample AS s
                WHERE s.entity_key = g.entity_key AND s.event_key = g.event_key
                    AND s.effective_time = g.effective_time
            ) THEN %(counted)s
            -- Its hour was computed from the generation, and has no samples.
            WHEN (%(include_late)s OR NOT g.late) AND EXISTS (
                SELECT FROM replay_swap AS unit
                WHERE unit.replay_number = g.replay_number AND unit.shard = g.shard AND unit.recomputed
                    AND unit.hour = date_trunc('hour', g.effective_time, 'UTC')
            ) THEN %(counted)s
            WHEN g.late THEN %(late)s
            ELSE %(duplicate)s
        END,
        count(*)
    FROM generation AS g
    JOIN entity AS e USING (entity_key)
    JOIN open USING (raw_partition, raw_offset)
    WHERE g.replay_number = %(number)s AND g.received_at >= open.begun_at
    GROUP BY 1, 2, 3, 4, 5
"""


def count_back(connection: Connection, replay: Replay) -> int:
    """Account for the records that aggregate did not; return their number. Needs an open transaction."""
    consumer = AGGREGATE.name
    lock_counting(connection, consumer)
    asked: dict[str, Any] = {
        "consumer": consumer,
        "topic": RAW_EVENTS,
        "number": replay.replay_number,
        "hours_from": replay.plan.hours_from,
        "hours_to": replay.plan.hours_to,
        "include_late": replay.plan.include_late,
    }
    places: dict[int, list[int]] = {}
    for partition, offset in connection.execute(_OPEN, asked).fetchall():
        places.setdefault(partition, []).append(offset)
    if not places:
        return 0
    bounds = {(RAW_EVENTS, partition): (min(offsets), max(offsets)) for partition, offsets in places.items()}
    # Locked now: aggregate may have come to some of them meanwhile.
    held = lock_places(connection, consumer, bounds)
    covered = {
        Origin(RAW_EVENTS, partition, offset)
        for partition, offsets in places.items()
        for offset in offsets
        if any(first <= offset < last for first, last in held[RAW_EVENTS, partition].covered)
    }
    # What both have is being re-driven.
    given_up = take_from_gaps(connection, consumer, covered)
    noted = take_dead_lettered(connection, consumer, covered)
    back = given_up | noted.keys()
    mine = {
        origin
        for partition, offsets in places.items()
        for offset in offsets
        if (origin := Origin(RAW_EVENTS, partition, offset)) not in covered or origin in back
    }
    outcomes = Counter[tuple[LedgerGroup, str]]()
    rows = connection.execute(
        _OUTCOMES,
        asked
        | {
            "partitions": [origin.partition for origin in mine],
            "offsets": [origin.offset for origin in mine],
            "counted": COUNTED,
            "duplicate": DUPLICATE,
            "late": LATE,
        },
    ).fetchall()
    for fleet_id, hour, contract, version, outcome, events in rows:
        outcomes[LedgerGroup(fleet_id, hour, contract, version), outcome] += events
    outcomes.update(_find_given_up(connection, replay, given_up - noted.keys()))
    outcomes.subtract((group, DEAD_LETTERED) for group in noted.values())
    count_outcomes(connection, consumer, outcomes)
    if more := span_partitions(mine - back):
        extend_coverage(connection, consumer, more, {})
    note_counted_back(connection, replay.replay_number, consumer, span_partitions(mine))
    return len(mine)


def _find_given_up(
    connection: Connection, replay: Replay, back: Collection[Origin]
) -> Counter[tuple[LedgerGroup, str]]:
    """Take the records that had been given up from the dead-lettered ones."""
    taken = Counter[tuple[LedgerGroup, str]]()
    if back:
        rows = connection.execute(
            "SELECT e.fleet_id, date_trunc('hour', g.received_at, 'UTC'), g.contract, g.schema_version, count(*)"
            " FROM generation AS g JOIN entity AS e USING (entity_key)"
            " JOIN unnest(%s::integer[], %s::bigint[]) AS back (raw_partition, raw_offset)"
            " USING (raw_partition, raw_offset)"
            " JOIN coverage AS c ON c.consumer = %s AND c.topic = %s AND c.partition = g.raw_partition"
            " WHERE g.replay_number = %s AND g.received_at >= c.begun_at GROUP BY 1, 2, 3, 4",
            [
                [one.partition for one in back],
                [one.offset for one in back],
                AGGREGATE.name,
                RAW_EVENTS,
                replay.replay_number,
            ],
        ).fetchall()
        for fleet_id, hour, contract, version, events in rows:
            taken[LedgerGroup(fleet_id, hour, contract, version), DEAD_LETTERED] -= events
    return taken
