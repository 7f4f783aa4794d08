"""The set of samples, and the one transaction that adds a batch.

lock coverage -> drop covered records -> load -> insert new samples -> mark windows -> count -> cover -> commit

Nothing takes effect before the commit, and records delivered again after it are covered. So a batch and each of its
events take effect once, in any pieces and at any number of deliveries.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg import sql

from sluice.core.consumers import COUNTED, DEAD_LETTERED, DUPLICATE, LATE
from sluice.core.ledger.groups import LedgerGroup, hour_of
from sluice.core.limits import Limits
from sluice.core.records import Origin, Partition
from sluice.core.samples.events import Event, Unreadable, count_undeclared, first_of_each, lookback
from sluice.edge.database import ANSWER_SECONDS, Connection, Database, find_value
from sluice.edge.ledger.coverage import extend_coverage, lock_coverage, span_partitions
from sluice.edge.ledger.dead_lettered import note_dead_lettered, take_dead_lettered
from sluice.edge.ledger.given_up import leave_gaps, take_from_gaps
from sluice.edge.ledger.tallies import count_outcomes, list_undeclared
from sluice.edge.samples.copying import COLUMNS, HEADER, TRAILER, write_row
from sluice.edge.samples.numbering import NumberedEntity, Numbering, Who
from sluice.edge.samples.sightings import find_sightings, write_sightings

_FLOOR = "SELECT nullif(floor, '-infinity') FROM horizon WHERE store = 'sample'"

# Created once per connection: created in each transaction, they would fill the catalogue with dropped tables.
_TEMPORARY = """
    CREATE TEMPORARY TABLE IF NOT EXISTS arrival (
        entity_key bigint NOT NULL, event_key uuid NOT NULL, effective_time timestamptz NOT NULL,
        shard smallint NOT NULL, group_number smallint NOT NULL, ahead boolean NOT NULL,
        metric_keys smallint[] NOT NULL, readings double precision[] NOT NULL
    ) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE IF NOT EXISTS landed (
        entity_key bigint NOT NULL, event_key uuid NOT NULL, effective_time timestamptz NOT NULL,
        shard smallint NOT NULL, group_number smallint NOT NULL, ahead boolean NOT NULL
    ) ON COMMIT DELETE ROWS;
"""

# Whether the database has an event, under any time. The planner has no statistics of a temporary table: LIMIT keeps it
# from reading whole partitions instead of looking each event up.
_HAS = sql.SQL("""
    LEFT JOIN LATERAL (
        SELECT true AS had FROM sample
        WHERE sample.entity_key = wanted.entity_key AND sample.event_key = wanted.event_key
            AND sample.effective_time >= %(since)s AND sample.effective_time <= %(until)s
        LIMIT 1
    ) AS by_id ON true
    LEFT JOIN LATERAL (
        SELECT true AS had FROM settled_event
        WHERE settled_event.entity_key = wanted.entity_key AND settled_event.event_key = wanted.event_key
        LIMIT 1
    ) AS settled ON true
""")

_CONFIRM = sql.SQL("""
    SELECT wanted.entity_key, wanted.event_key
    FROM unnest(%(entity_keys)s::bigint[], %(event_keys)s::uuid[]) AS wanted (entity_key, event_key)
    {has}
    WHERE by_id.had OR settled.had
""").format(has=_HAS)

# In key order: two transactions that insert the same events wait for each other without a deadlock.
_INSERT = sql.SQL("""
    WITH inserted AS (
        INSERT INTO sample (entity_key, event_key, effective_time, shard, metric_keys, readings)
        SELECT
            wanted.entity_key, wanted.event_key, wanted.effective_time, wanted.shard,
            wanted.metric_keys, wanted.readings
        FROM arrival AS wanted
        {has}
        WHERE by_id.had IS NULL AND settled.had IS NULL
        ORDER BY wanted.entity_key, wanted.event_key, wanted.effective_time
        ON CONFLICT DO NOTHING
        RETURNING entity_key, event_key
    )
    INSERT INTO landed (entity_key, event_key, effective_time, shard, group_number, ahead)
    SELECT entity_key, event_key, effective_time, shard, group_number, ahead
    FROM inserted JOIN arrival USING (entity_key, event_key)
""").format(has=_HAS)

_SETTLE_AHEAD = """
    INSERT INTO settled_event (entity_key, event_key, received_at)
    SELECT entity_key, event_key, effective_time FROM landed WHERE ahead
    ORDER BY entity_key, event_key
    ON CONFLICT DO NOTHING
"""

_SETTLE_LATE = """
    INSERT INTO settled_event (entity_key, event_key, received_at)
    SELECT * FROM unnest(%s::bigint[], %s::uuid[], %s::timestamptz[]) AS late (entity_key, event_key, received_at)
    ORDER BY entity_key, event_key
    ON CONFLICT DO NOTHING
"""

_COUNT_LANDED = "SELECT group_number, count(*) FROM landed GROUP BY group_number"
_LIST_LANDED = "SELECT entity_key, event_key FROM landed"

# A minute that its shard has not rolled yet is rolled as a whole; a rolled one only for the late device.
_MARK = """
    INSERT INTO dirty (resolution, shard, window_start, entity_key)
    WITH minutes AS (
        SELECT shard, date_trunc('minute', effective_time, 'UTC') AS minute, entity_key, group_number FROM landed
    )
    SELECT '1m', shard, minute, CASE WHEN minute < closed_until THEN entity_key END
    FROM minutes JOIN shard USING (shard)
    UNION
    SELECT '1m', fleet.shard, minute, fleet.entity_key
    FROM minutes
    JOIN unnest(%s::bigint[], %s::smallint[]) WITH ORDINALITY AS fleet (entity_key, shard, position)
        ON position = group_number + 1
"""


# What was received later than everything covered is of another topic of that name.
_HAS_COVERED = """
    SELECT true FROM coverage AS covered
    WHERE consumer = %(consumer)s AND topic = %(topic)s AND partition = %(partition)s
        AND offsets @> %(offset)s::bigint AND received_until >= %(received_at)s
        AND NOT EXISTS (
            SELECT FROM gap
            WHERE gap.consumer = covered.consumer AND gap.topic = covered.topic
                AND gap.partition = covered.partition AND gap.given_up AND gap.offsets @> %(offset)s::bigint
        )
"""


class Effect(msgspec.Struct, frozen=True):
    """The effect of a batch."""

    events: list[Event]
    """The events that were new to the ledger."""
    counted: list[Event]
    """The new events that became a sample."""
    outcomes: Counter[tuple[LedgerGroup, str]]
    """The new events by outcome. A recovered event subtracts one dead letter."""

    def count(self, outcome: str) -> int:
        """Return how many events had one outcome."""
        return sum(events for (_, which), events in self.outcomes.items() if which == outcome)


class Samples:
    """One consumer's additions to the set of samples."""

    def __init__(self, database: Database, numbering: Numbering, consumer: str, limits: Limits) -> None:
        self._database = database
        self._numbering = numbering
        self._consumer = consumer
        self._limits = limits

    def ask(self) -> None:
        """Raise Retryable while the database is down."""
        with self._database.use(ANSWER_SECONDS) as connection:
            connection.execute("SELECT 1")

    def add(self, events: Sequence[Event], suspected: Collection[Origin]) -> Effect:
        """Store a batch's events; suspected duplicates are looked up before loading."""
        if not events:
            return Effect([], [], Counter())
        with self._database.use() as connection:
            connection.execute(_TEMPORARY)
            entities = self._numbering.entities(connection, _named_in(events))
            metrics = self._numbering.metrics(connection, {name for event in events for name in event.metrics})
            work = _Transaction(connection, self._consumer, self._limits, entities, metrics)
            try:
                return work.add(events, suspected)
            except psycopg.errors.CheckViolation as error:
                # A row without a partition breaks a constraint without a name.
                if error.diag.constraint_name is not None:
                    raise
            for hour in sorted({hour_of(event.effective_time) for event in events if not event.late}):
                connection.execute("SELECT ensure_partition('sample', %s)", (hour,))
            return work.add(events, suspected)

    def has(self, record: Unreadable) -> bool:
        """Return whether a record is covered, and was not given up; Retryable while the database is down."""
        place = record.origin
        with self._database.use(ANSWER_SECONDS) as connection:
            given = {
                "consumer": self._consumer,
                "topic": place.topic,
                "partition": place.partition,
                "offset": place.offset,
                "received_at": record.received_at,
            }
            return bool(find_value(connection, _HAS_COVERED, given))

    def bury(self, unreadable: Sequence[Unreadable]) -> None:
        """Cover records whose dead letters are stored; records that are ahead leave gaps in their windows.

        The others are noted: a replay by a later release may count them.
        """
        if not unreadable:
            return
        with self._database.use() as connection, connection.transaction():
            # The reception of a bad record may be wrong: it does not show that its topic was recreated.
            covered = lock_coverage(connection, self._consumer, {one.origin: None for one in unreadable})
            new = [one for one in unreadable if one.origin not in covered]
            count_outcomes(connection, self._consumer, Counter((one.group, DEAD_LETTERED) for one in new))
            received = [(one.origin, one.received_at) for one in new if one.received_at is not None]
            spans = span_partitions(one.origin for one in new)
            extend_coverage(connection, self._consumer, spans, _latest(received))
            ahead = {one.origin for one in new if one.ahead}
            gaps = {origin: at for origin, at in received if origin in ahead}
            leave_gaps(connection, self._consumer, gaps)
            noted = {one.origin: one.group for one in new if one.origin not in gaps}
            note_dead_lettered(connection, self._consumer, noted)


class _Transaction(msgspec.Struct, frozen=True):
    """The transaction, with its numbers of entities and metrics."""

    connection: Connection
    consumer: str
    limits: Limits
    entities: dict[Who, NumberedEntity]
    metrics: dict[str, int]

    def add(self, events: Sequence[Event], suspected: Collection[Origin]) -> Effect:
        with self.connection.transaction():
            received = {event.origin: event.received_at for event in events}
            covered = lock_coverage(self.connection, self.consumer, received)
            back = take_from_gaps(self.connection, self.consumer, covered)
            # A re-drive put these into a gap to have them counted.
            noted = take_dead_lettered(self.connection, self.consumer, back)
            new = [event for event in events if event.origin not in covered or event.origin in back]
            late, in_time = self._part(new)
            came_late = {event.origin for event in late}
            firsts = first_of_each(new)
            self._settle([event for event in firsts if event.origin in came_late])
            wanted = self._without_known([event for event in firsts if event.origin not in came_late], suspected)
            groups = sorted({event.group for event in wanted})
            self._load(wanted, groups)
            counted = self._insert(wanted, groups)
            landed = self._find_landed(wanted, counted.total())
            outcomes = Counter((event.group, LATE) for event in late)
            outcomes.subtract(
                (noted.get(event.origin, event.group), DEAD_LETTERED) for event in new if event.origin in back
            )
            for group, candidates in Counter(event.group for event in in_time).items():
                outcomes[group, COUNTED] = counted[group]
                outcomes[group, DUPLICATE] = candidates - counted[group]
            sightings = find_sightings(new, self.entities)
            write_sightings(self.connection, sightings)
            count_outcomes(self.connection, self.consumer, outcomes)
            list_undeclared(self.connection, count_undeclared(new))
            spans = span_partitions(event.origin for event in new)
            extend_coverage(
                self.connection, self.consumer, spans, _latest((event.origin, event.received_at) for event in new)
            )
        for sighting in sightings:
            sighting.remember()
        return Effect(new, landed, outcomes)

    def _part(self, events: Sequence[Event]) -> tuple[list[Event], list[Event]]:
        """Separate late events from those in time. Events below the floor of samples are late too."""
        floor = find_value(self.connection, _FLOOR)
        late: list[Event] = []
        in_time: list[Event] = []
        for event in events:
            is_late = event.late or (floor is not None and event.effective_time < floor)
            (late if is_late else in_time).append(event)
        return late, in_time

    def _settle(self, late: Sequence[Event]) -> None:
        """Remember events that were too late to count, so that no later copy counts instead."""
        if late:
            columns = (self._key_of, lambda event: event.key.hex(), lambda event: event.received_at)
            self.connection.execute(_SETTLE_LATE, [[read(event) for event in late] for read in columns])

    def _without_known(self, events: list[Event], suspected: Collection[Origin]) -> list[Event]:
        """Drop suspected events that the database really has: a suspicion alone must not lose an event."""
        suspects = [event for event in events if event.origin in suspected]
        if not suspects:
            return events
        wanted = {
            "entity_keys": [self._key_of(event) for event in suspects],
            "event_keys": [event.key.hex() for event in suspects],
        }
        rows = self.connection.execute(_CONFIRM, wanted | self._window(suspects)).fetchall()
        known = {(entity_key, event_key.bytes) for entity_key, event_key in rows}
        return [event for event in events if (self._key_of(event), event.key) not in known]

    def _load(self, events: list[Event], groups: list[LedgerGroup]) -> None:
        numbers = {group: number for number, group in enumerate(groups)}
        with (
            self.connection.cursor() as cursor,
            cursor.copy(f"COPY arrival ({COLUMNS}) FROM STDIN WITH (FORMAT binary)") as copy,
        ):
            rows = [HEADER]
            for event in events:
                entity = self.entities[event.fleet_id, event.device_id]
                rows.append(
                    write_row(
                        entity.key,
                        event.key,
                        event.effective_time,
                        entity.shard,
                        numbers[event.group],
                        event.ahead,
                        {self.metrics[name]: reading for name, reading in event.metrics.items()},
                    )
                )
            rows.append(TRAILER)
            copy.write(b"".join(rows))

    def _insert(self, events: list[Event], groups: list[LedgerGroup]) -> Counter[LedgerGroup]:
        """Insert the new events among the loaded ones, mark their windows, and count them."""
        if not events:
            return Counter()
        self.connection.execute(_INSERT, self._window(events))
        if any(event.ahead for event in events):
            self.connection.execute(_SETTLE_AHEAD)
        fleets = [self.entities[group.fleet_id, None] for group in groups]
        self.connection.execute(_MARK, ([fleet.key for fleet in fleets], [fleet.shard for fleet in fleets]))
        return Counter({groups[number]: count for number, count in self.connection.execute(_COUNT_LANDED)})

    def _find_landed(self, wanted: list[Event], landed: int) -> list[Event]:
        """Return the events that became samples; usually all did, which needs no query."""
        if landed == len(wanted):
            return wanted
        found = (
            {(key, event_key.bytes) for key, event_key in self.connection.execute(_LIST_LANDED)} if landed else set()
        )
        return [event for event in wanted if (self._key_of(event), event.key) in found]

    def _window(self, events: list[Event]) -> dict[str, Any]:
        """Return the time range of samples that may duplicate these events."""
        received = [event.received_at for event in events]
        # Requests overtake each other: the stored copy may have been received a little later.
        until = max(received) + 2 * self.limits.clock_ahead
        return {"since": min(received) - lookback(self.limits), "until": until}

    def _key_of(self, event: Event) -> int:
        return self.entities[event.fleet_id, event.device_id].key


def _named_in(events: Iterable[Event]) -> list[Who]:
    """Return the devices and the fleets of events, each once."""
    devices: dict[Who, None] = {(event.fleet_id, event.device_id): None for event in events}
    return list(devices | {(fleet_id, None): None for fleet_id, _ in devices})


def _latest(received: Iterable[tuple[Origin, datetime]]) -> dict[Partition, datetime]:
    latest: dict[Partition, datetime] = {}
    for origin, moment in received:
        place = (origin.topic, origin.partition)
        latest[place] = max(moment, latest.get(place, moment))
    return latest
