"""The set of samples, and the one transaction in which a batch enters it.

lock what is covered -> leave out what is -> load -> insert what is new -> mark windows -> count -> cover -> commit

Nothing that happens before the commit takes effect, and what comes again after it is covered. So a batch takes effect
once, in any pieces and however often it comes, and so does each event in it.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg import sql

from sluice.core.consumers import COUNTED, DEAD_LETTERED, DUPLICATE, LATE
from sluice.core.ledger.outcomes import Group, hour_of
from sluice.core.limits import Limits
from sluice.core.numbers.samples import Event, Unreadable, count_undeclared, first_of_each, lookback
from sluice.core.records import Origin, Partition
from sluice.edge.database import ANSWER_SECONDS, Connection, Database
from sluice.edge.ledger.coverage import extend_coverage, lock_coverage, span_partitions
from sluice.edge.ledger.given_up import leave_gaps, take_from_gaps
from sluice.edge.ledger.tallies import count_outcomes, list_undeclared
from sluice.edge.numbers.copying import COLUMNS, HEADER, TRAILER, write_row
from sluice.edge.numbers.numbering import Entity, Numbering, Who
from sluice.edge.numbers.sightings import find_sightings, write_sightings

_FLOOR = "SELECT nullif(floor, '-infinity') FROM horizon WHERE store = 'sample'"

# Made once for each connection: made in each transaction they would fill the catalogue with what is dropped again.
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

# Whether the database has an event, under any time. LIMIT keeps the planner, which knows nothing of a temporary
# table, from reading whole partitions instead of looking each event up.
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

# In the order of their keys: two transactions that insert the same events wait for each other, and never crosswise.
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

# A minute that its shard has not rolled yet is rolled as a whole; one that it has is rolled for the straggler alone.
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


class Effect(msgspec.Struct, frozen=True):
    """What a batch has done."""

    events: list[Event]
    """Those that were new to the ledger."""
    counted: list[Event]
    """Those of them that became a sample."""
    outcomes: Counter[tuple[Group, str]]
    """How many of the new ones became what. An event that is brought back is one dead letter less."""

    def count(self, outcome: str) -> int:
        """Say how many events became one thing."""
        return sum(events for (_, which), events in self.outcomes.items() if which == outcome)


class Samples:
    """What one consumer adds to the set."""

    def __init__(self, database: Database, numbering: Numbering, consumer: str, limits: Limits) -> None:
        self._database = database
        self._numbering = numbering
        self._consumer = consumer
        self._limits = limits

    def ask(self) -> None:
        """Raise Retryable while the database is away."""
        with self._database.use(ANSWER_SECONDS) as connection:
            connection.execute("SELECT 1")

    def add(self, events: Sequence[Event], suspected: Collection[Origin]) -> Effect:
        """Take a batch's events in; those suspected to be duplicates are looked for before they are loaded."""
        if not events:
            return Effect([], [], Counter())
        with self._database.use() as connection:
            connection.execute(_TEMPORARY)
            entities = self._numbering.entities(connection, _named_in(events))
            metrics = self._numbering.metrics(connection, {name for event in events for name in event.metrics})
            work = _Work(connection, self._consumer, self._limits, entities, metrics)
            try:
                return work.add(events, suspected)
            except psycopg.errors.CheckViolation as error:
                # A row without a partition breaks no constraint that has a name.
                if error.diag.constraint_name is not None:
                    raise
            for hour in sorted({hour_of(event.effective_time) for event in events if not event.late}):
                connection.execute("SELECT ensure_partition('sample', %s)", (hour,))
            return work.add(events, suspected)

    def bury(self, unreadable: Sequence[Unreadable]) -> None:
        """Cover records whose dead letters are stored; the windows of those that are ahead stay gaps."""
        if not unreadable:
            return
        with self._database.use() as connection, connection.transaction():
            # A reception may be what is wrong with a record: it does not show that its topic was made again.
            covered = lock_coverage(connection, self._consumer, {one.origin: None for one in unreadable})
            new = [one for one in unreadable if one.origin not in covered]
            count_outcomes(connection, self._consumer, Counter((one.group, DEAD_LETTERED) for one in new))
            received = [(one.origin, one.received_at) for one in new if one.received_at is not None]
            spans = span_partitions(one.origin for one in new)
            extend_coverage(connection, self._consumer, spans, _latest(received))
            ahead = {one.origin for one in new if one.ahead}
            leave_gaps(connection, self._consumer, {origin: at for origin, at in received if origin in ahead})


class _Work(msgspec.Struct, frozen=True):
    """The transaction, with the numbers it goes by."""

    connection: Connection
    consumer: str
    limits: Limits
    entities: dict[Who, Entity]
    metrics: dict[str, int]

    def add(self, events: Sequence[Event], suspected: Collection[Origin]) -> Effect:
        with self.connection.transaction():
            received = {event.origin: event.received_at for event in events}
            covered = lock_coverage(self.connection, self.consumer, received)
            back = take_from_gaps(self.connection, self.consumer, covered)
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
            outcomes.subtract((event.group, DEAD_LETTERED) for event in new if event.origin in back)
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
        """Part the late from those in time. Late is also what lies where samples are no longer kept."""
        found = self.connection.execute(_FLOOR).fetchone()
        floor = found[0] if found else None
        late: list[Event] = []
        in_time: list[Event] = []
        for event in events:
            is_late = event.late or (floor is not None and event.effective_time < floor)
            (late if is_late else in_time).append(event)
        return late, in_time

    def _settle(self, late: Sequence[Event]) -> None:
        """Remember events that came too late to count, so that no later copy counts in their place."""
        if late:
            columns = (self._key_of, lambda event: event.key.hex(), lambda event: event.received_at)
            self.connection.execute(_SETTLE_LATE, [[read(event) for event in late] for read in columns])

    def _without_known(self, events: list[Event], suspected: Collection[Origin]) -> list[Event]:
        """Leave out the suspected that the database really has: a suspicion alone must not lose an event."""
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

    def _load(self, events: list[Event], groups: list[Group]) -> None:
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

    def _insert(self, events: list[Event], groups: list[Group]) -> Counter[Group]:
        """Insert what is new of what was loaded, mark its windows, and count it."""
        if not events:
            return Counter()
        self.connection.execute(_INSERT, self._window(events))
        if any(event.ahead for event in events):
            self.connection.execute(_SETTLE_AHEAD)
        fleets = [self.entities[group.fleet_id, None] for group in groups]
        self.connection.execute(_MARK, ([fleet.key for fleet in fleets], [fleet.shard for fleet in fleets]))
        return Counter({groups[number]: count for number, count in self.connection.execute(_COUNT_LANDED)})

    def _find_landed(self, wanted: list[Event], landed: int) -> list[Event]:
        """Return the events that became samples: mostly all of them, which costs no question."""
        if landed == len(wanted):
            return wanted
        found = (
            {(key, event_key.bytes) for key, event_key in self.connection.execute(_LIST_LANDED)} if landed else set()
        )
        return [event for event in wanted if (self._key_of(event), event.key) in found]

    def _window(self, events: list[Event]) -> dict[str, Any]:
        """Say among which samples a duplicate of these events may be."""
        received = [event.received_at for event in events]
        # Requests overtake each other: the copy that is in may have been received a little later.
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
