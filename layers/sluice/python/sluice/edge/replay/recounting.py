"""The work of recount: replayed events become a generation of samples, beside the live ones.

read as aggregate reads -> one transaction: drop what is covered or of an ended replay, insert, cover

Nothing else changes: no live sample, no counter, no hint of a duplicate, no outcome.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec

from sluice.core.errors import Ahead, Fault, Poison
from sluice.core.events.contracts import Contracts
from sluice.core.failures.sorting import Faulty
from sluice.core.limits import Limits
from sluice.core.metrics import EVENTS_RECOUNTED
from sluice.core.records import KafkaRecord, Origin
from sluice.core.replay.records import HEADER, Replayed, read_replayed
from sluice.core.samples.events import Event, read_event
from sluice.edge.database import ANSWER_SECONDS, Connection, Database
from sluice.edge.ledger.coverage import extend_coverage, lock_coverage, span_partitions
from sluice.edge.metrics import record
from sluice.edge.replay.copying import COLUMNS, write_rows
from sluice.edge.retry import Retry
from sluice.edge.samples.numbering import Numbering, Who

# Locked, so that no generation is dropped while rows are added to it.
_ACTIVE = """
    SELECT replay_number FROM replay
    WHERE replay_number = ANY(%s) AND state IN ('gathering', 'resending', 'draining')
    ORDER BY replay_number
    FOR SHARE
"""

_TEMPORARY = """
    CREATE TEMPORARY TABLE IF NOT EXISTS replayed (LIKE generation) ON COMMIT DELETE ROWS
"""

# A chunk that is sent again brings the same places again.
_INSERT = """
    INSERT INTO generation SELECT * FROM replayed
    ORDER BY replay_number, raw_partition, raw_offset, received_at
    ON CONFLICT DO NOTHING
"""


# A replay that lacks an event of its own must not take that event out of the numbers.
_UNREAD = """
    INSERT INTO replay_unread (replay_number, partition, kafka_offset, ahead) VALUES (%s, %s, %s, %s)
    ON CONFLICT DO NOTHING
"""


class Recounted(msgspec.Struct, frozen=True):
    """An event as aggregation sees it, and where it comes from."""

    event: Event
    replayed: Replayed


class Recounting:
    """The work of recount."""

    def __init__(
        self, contracts: Contracts, limits: Limits, database: Database, numbering: Numbering, consumer: str
    ) -> None:
        self._contracts = contracts
        self._limits = limits
        self._database = database
        self._numbering = numbering
        self._consumer = consumer

    def read(self, one: KafkaRecord, now: datetime) -> Recounted:
        """Read a replayed event."""
        replayed = read_replayed(one.headers.get(HEADER))
        return Recounted(read_event(one, self._contracts, self._limits, now), replayed)

    def take_in(self, records: Sequence[tuple[Origin, Recounted]], retry: Retry) -> set[Origin]:
        """Add events to their generations, all of them or none."""
        added = retry.run(lambda: self._add(dict(records)))
        record(EVENTS_RECOUNTED, added)
        return set()

    def ask(self) -> None:
        """Raise Retryable while the database is down."""
        with self._database.use(ANSWER_SECONDS) as connection:
            connection.execute("SELECT 1")

    def has_done(self, record: KafkaRecord, fault: Fault, now: datetime) -> bool:
        """Return False: a letter beside a row of a generation changes no number."""
        del record, fault, now
        return False

    def cover(self, records: Sequence[Faulty], now: datetime) -> None:
        """Cover records whose dead letters are stored."""
        del now
        if records:
            with self._database.use() as connection, connection.transaction():
                covered = self._cover(connection, [one.origin for one, _ in records])
                new = [(one, fault) for one, fault in records if one.origin not in covered]
                with connection.cursor() as cursor:
                    cursor.executemany(_UNREAD, [row for pair in new for row in _unread(*pair)])

    def _add(self, records: dict[Origin, Recounted]) -> int:
        with self._database.use() as connection:
            connection.execute(_TEMPORARY)
            events = [one.event for one in records.values()]
            devices: dict[Who, None] = {(event.fleet_id, event.device_id): None for event in events}
            entities = self._numbering.entities(connection, devices)
            metrics = self._numbering.metrics(connection, {name for event in events for name in event.metrics})
            with connection.transaction():
                covered = self._cover(connection, records)
                numbers = sorted({one.replayed.replay_number for one in records.values()})
                active = {number for (number,) in connection.execute(_ACTIVE, [numbers])}
                wanted = [
                    one
                    for origin, one in records.items()
                    if origin not in covered and one.replayed.replay_number in active
                ]
                if not wanted:
                    return 0
                rows = (
                    (
                        one.replayed,
                        one.event,
                        entities[one.event.fleet_id, one.event.device_id],
                        {metrics[name]: reading for name, reading in one.event.metrics.items()},
                    )
                    for one in wanted
                )
                with (
                    connection.cursor() as cursor,
                    cursor.copy(f"COPY replayed ({COLUMNS}) FROM STDIN WITH (FORMAT binary)") as copy,
                ):
                    copy.write(write_rows(rows))
                return connection.execute(_INSERT).rowcount

    def _cover(self, connection: Connection, origins: Iterable[Origin]) -> set[Origin]:
        """Cover records, and return those that were covered before."""
        # Replayed events were received long ago, in any order: their reception does not show whether a topic was
        # recreated. So none is given.
        asked = dict.fromkeys(origins)
        covered = lock_coverage(connection, self._consumer, asked)
        extend_coverage(connection, self._consumer, span_partitions(asked.keys() - covered), {})
        return covered


def _unread(one: KafkaRecord, fault: Fault) -> Iterator[tuple[int, int, int, bool]]:
    """Write down a record that could not be read, if it says which replay it belongs to."""
    try:
        number = read_replayed(one.headers.get(HEADER)).replay_number
    except (Poison, Ahead):
        return
    yield number, one.origin.partition, one.origin.offset, isinstance(fault, Ahead)
