"""The ledger after a swap: events that aggregate had never counted, or had given up, are accounted for.

Events that it had counted keep their outcome: they were counted once, and still are.
"""

from collections import Counter
from typing import Any

from sluice.core.consumers import AGGREGATE, COUNTED, DEAD_LETTERED, DUPLICATE, LATE, RAW_EVENTS
from sluice.core.ledger.groups import LedgerGroup
from sluice.core.offsets import span
from sluice.core.records import Origin
from sluice.edge.database import Connection
from sluice.edge.ledger.coverage import extend_coverage, lock_places
from sluice.edge.ledger.given_up import take_from_gaps
from sluice.edge.ledger.tallies import count_outcomes
from sluice.edge.replay.tables import Replay

# Of each partition: the records of the hours that aggregate has passed over, or has given up. Those that it has not
# come to yet are its own to account for. Nor has anything changed for those of hours that had expired and were left.
_OPEN = """
    SELECT g.raw_partition, g.raw_offset
    FROM generation AS g
    JOIN coverage AS c ON c.consumer = %(consumer)s AND c.topic = %(topic)s AND c.partition = g.raw_partition
    WHERE g.replay_number = %(number)s AND g.raw_offset < upper(c.offsets)
        AND g.effective_time >= %(hours_from)s AND g.effective_time < %(hours_to)s
        AND (
            NOT c.offsets @> g.raw_offset
            OR EXISTS (
                SELECT FROM gap
                WHERE gap.consumer = c.consumer AND gap.topic = c.topic AND gap.partition = c.partition
                    AND gap.given_up AND gap.offsets @> g.raw_offset
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
        SELECT * FROM unnest(%(partitions)s::integer[], %(offsets)s::bigint[]) AS open (raw_partition, raw_offset)
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
                        OR other.raw_offset <> g.raw_offset AND NOT other.late AND NOT EXISTS (
                            SELECT FROM open
                            WHERE open.raw_partition = other.raw_partition AND open.raw_offset = other.raw_offset
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
    WHERE g.replay_number = %(number)s
    GROUP BY 1, 2, 3, 4, 5
"""


def count_back(connection: Connection, replay: Replay) -> int:
    """Account for the records that aggregate did not; return their number. Needs an open transaction."""
    consumer = AGGREGATE.name
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
    back = take_from_gaps(connection, consumer, covered)
    mine = {
        partition: [
            offset
            for offset in offsets
            if (origin := Origin(RAW_EVENTS, partition, offset)) not in covered or origin in back
        ]
        for partition, offsets in places.items()
    }
    outcomes = Counter[tuple[LedgerGroup, str]]()
    rows = connection.execute(
        _OUTCOMES,
        asked
        | {
            "partitions": [partition for partition, offsets in mine.items() for _ in offsets],
            "offsets": [offset for offsets in mine.values() for offset in offsets],
            "counted": COUNTED,
            "duplicate": DUPLICATE,
            "late": LATE,
        },
    ).fetchall()
    for fleet_id, hour, contract, version, outcome, events in rows:
        outcomes[LedgerGroup(fleet_id, hour, contract, version), outcome] += events
    outcomes.update(_given_up(connection, replay, back))
    count_outcomes(connection, consumer, outcomes)
    spans = {
        (RAW_EVENTS, partition): span(offset for offset in offsets if Origin(RAW_EVENTS, partition, offset) not in back)
        for partition, offsets in mine.items()
    }
    extend_coverage(connection, consumer, {place: found for place, found in spans.items() if found}, {})
    return sum(map(len, mine.values()))


def _given_up(connection: Connection, replay: Replay, back: set[Origin]) -> Counter[tuple[LedgerGroup, str]]:
    """Take the records that had been given up from the dead-lettered ones."""
    taken = Counter[tuple[LedgerGroup, str]]()
    if back:
        rows = connection.execute(
            "SELECT e.fleet_id, date_trunc('hour', g.received_at, 'UTC'), g.contract, g.schema_version, count(*)"
            " FROM generation AS g JOIN entity AS e USING (entity_key)"
            " JOIN unnest(%s::integer[], %s::bigint[]) AS back (raw_partition, raw_offset)"
            " USING (raw_partition, raw_offset) WHERE g.replay_number = %s GROUP BY 1, 2, 3, 4",
            [[one.partition for one in back], [one.offset for one in back], replay.replay_number],
        ).fetchall()
        for fleet_id, hour, contract, version, events in rows:
            taken[LedgerGroup(fleet_id, hour, contract, version), DEAD_LETTERED] -= events
    return taken
