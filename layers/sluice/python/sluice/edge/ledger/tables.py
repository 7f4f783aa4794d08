"""The ledger's tables as reconcile reads and writes them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec.structs import astuple
from psycopg.types.range import Int8Range

from sluice.core.ledger.holes import Hole, Standing
from sluice.core.ledger.rerun import MissingEvent
from sluice.core.offsets import Span
from sluice.edge.database import Connection, find_value

MOST_NAMED = 200
"""The most missing events of a consumer that are named: a list of thousands does not help."""

_COVERED = "SELECT partition, offsets FROM coverage WHERE consumer = %s AND topic = %s"

_HOLES = """
    SELECT partition, lower(offsets), upper(offsets), noticed_at, rerun_at, missing FROM hole
    WHERE consumer = %s AND topic = %s ORDER BY partition, offsets
"""

_STAND = """
    INSERT INTO standing (consumer, topic, partition, first_offset, committed_offset, last_offset, asked_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (consumer, topic, partition) DO UPDATE SET
        first_offset = excluded.first_offset, committed_offset = excluded.committed_offset,
        last_offset = excluded.last_offset, asked_at = excluded.asked_at
"""

_FILL = "DELETE FROM hole WHERE consumer = %s AND topic = %s AND partition = ANY(%s)"

_DIG = """
    INSERT INTO hole (consumer, topic, partition, offsets, noticed_at, rerun_at, missing)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
"""

_FOUND = """
    DELETE FROM missing_event USING coverage
    WHERE missing_event.consumer = coverage.consumer AND missing_event.topic = coverage.topic
        AND missing_event.partition = coverage.partition AND coverage.offsets @> missing_event.kafka_offset
"""

_NAMED = "SELECT count(*) FROM missing_event WHERE consumer = %s"

_NAME = """
    INSERT INTO missing_event
        (consumer, topic, partition, kafka_offset, fleet_id, device_id, event_id, received_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT DO NOTHING
"""


class LedgerTables:
    """The ledger of one topic."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection = connection
        self._topic = topic

    def lock(self) -> bool:
        """Lock out other runs while the connection is open; return False if one is active."""
        return bool(find_value(self._connection, "SELECT pg_try_advisory_lock(hashtextextended('reconcile', 0))"))

    def any_missing(self) -> bool:
        """Return whether anything was missing at the last comparison."""
        return bool(find_value(self._connection, "SELECT EXISTS (SELECT FROM hole WHERE missing)"))

    def covered(self, consumer: str) -> dict[int, list[Span]]:
        """Read the offsets that a consumer accounts for."""
        rows = self._connection.execute(_COVERED, (consumer, self._topic)).fetchall()
        return {partition: [(one.lower, one.upper) for one in offsets] for partition, offsets in rows}

    def holes(self, consumer: str) -> dict[int, list[Hole]]:
        """Read the holes that are already known."""
        holes: defaultdict[int, list[Hole]] = defaultdict(list)
        for partition, *hole in self._connection.execute(_HOLES, (consumer, self._topic)).fetchall():
            holes[partition].append(Hole(*hole))
        return holes

    def write_standing(self, consumer: str, standing: Mapping[int, Standing], asked_at: datetime) -> None:
        """Record the brokers' offsets."""
        with self._connection.cursor() as cursor:
            rows = [(consumer, self._topic, each, *astuple(stands), asked_at) for each, stands in standing.items()]
            cursor.executemany(_STAND, rows)

    def write_holes(self, consumer: str, holes: Mapping[int, Sequence[Hole]]) -> None:
        """Replace the holes of these partitions."""
        rows = [
            (consumer, self._topic, partition, Int8Range(one.start, one.end), one.noticed_at, one.rerun_at, one.missing)
            for partition, found in holes.items()
            for one in found
        ]
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(_FILL, (consumer, self._topic, list(holes)))
            cursor.executemany(_DIG, rows)

    def forget_found(self) -> None:
        """Delete the names of events that are accounted for by now."""
        self._connection.execute(_FOUND)

    def name(self, consumer: str, events: Iterable[MissingEvent]) -> None:
        """Name missing events, up to the limit."""
        room = MOST_NAMED - find_value(self._connection, _NAMED, (consumer,))
        if room <= 0:
            return
        rows = [
            (consumer, *astuple(one.origin), one.fleet_id, one.device_id, one.event_id, one.received_at)
            for one, _ in zip(events, range(room), strict=False)
        ]
        with self._connection.cursor() as cursor:
            cursor.executemany(_NAME, rows)
