"""Aggregation on a real database: records as devices make them, and what is in the tables afterwards."""

import json
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlparse

import psycopg

from sluice.core.events.envelope import HEADER, REDRIVEN, Envelope, write_envelope
from sluice.core.limits import Limits
from sluice.core.records import KafkaRecord, Origin
from sluice.core.samples.events import Event, read_event
from sluice.core.times import time_flags
from sluice.edge import database
from sluice.edge.samples.numbering import Numbering
from sluice.edge.samples.storing import Samples
from sluice.edge.settings import DatabaseSettings
from tests.support import samples

LIMITS = Limits()
FIRMWARE = {1: "1.8.3", 2: "2.4.1", 3: "3.0.2"}


def now() -> datetime:
    """The time, as the partitions that migrations make know it."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Sent:
    """One stored event: what its device says, and when and where we stored it."""

    offset: int
    event_time: datetime
    received_at: datetime
    device_id: str = "press-0001"
    event_id: str = ""
    fleet_id: str = "demo"
    topic: str = "raw-events"
    partition: int = 0
    metrics: dict[str, float] = field(default_factory=lambda: {"cpu_temp": 40.0, "vibration_rms": 2.0})
    version: int = 3
    redriven: bool = False

    @property
    def key(self) -> uuid.UUID:
        return uuid.UUID(self.event_id) if self.event_id else uuid.uuid5(uuid.NAMESPACE_OID, repr(self))

    @property
    def flags(self) -> tuple[str, ...]:
        flags = time_flags(self.event_time, self.received_at, LIMITS.clock_ahead, LIMITS.late)
        return (*flags, REDRIVEN) if self.redriven else flags

    def record(self) -> KafkaRecord:
        """The record, as ingest or redrive writes it."""
        document = {
            "event_id": str(self.key),
            "device_id": self.device_id,
            "device_firmware_version": FIRMWARE[self.version],
            "timestamp": self.event_time.isoformat(),
            "metrics": self.metrics,
        }
        original = "ab" * 32 if self.redriven else None
        envelope = Envelope(1, self.received_at, self.fleet_id, "telemetry", self.version, self.flags, "test", original)
        origin = Origin(self.topic, self.partition, self.offset)
        return KafkaRecord(origin, json.dumps(document).encode(), {HEADER: write_envelope(envelope)})


def read(sent: Iterable[Sent]) -> list[Event]:
    """What aggregation reads of records."""
    return [read_event(one.record(), samples.contracts(), LIMITS, now() + timedelta(days=2)) for one in sent]


def as_aggregate(dsn: str) -> Callable[[], database.Connection]:
    """Connect as aggregate does: with its own role and grants."""
    place = urlparse(dsn)
    assert place.hostname
    assert place.port
    settings = DatabaseSettings(
        place.hostname, place.port, place.path.removeprefix("/"), "sluice_aggregate", "none", "us-east-1"
    )
    return partial(database.connect, settings, answer_seconds=60)


class Processes:
    """Makes what each process of aggregate holds, and closes it at the end."""

    def __init__(self, dsn: str) -> None:
        self.connect = as_aggregate(dsn)
        self._databases: list[database.Database] = []

    def start(self, connect: Callable[[], database.Connection] | None = None, seconds: float = 60) -> Samples:
        """Start one."""
        store = database.Database(connect or self.connect, seconds)
        self._databases.append(store)
        return Samples(store, Numbering(samples.contracts().book.series), "aggregate", LIMITS)

    def end(self) -> None:
        """End all."""
        for store in self._databases:
            store.close()


class Tables:
    """What is in the database, as its owner sees it."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True, options="-c timezone=UTC")

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode(), parameters).fetchall()

    def samples(self, fleet_id: str = "demo") -> list[tuple[Any, ...]]:
        """Every sample of a fleet: device, key, time and its numbers by name."""
        rows = self.rows(
            """
            SELECT device_id, event_key, effective_time, metric_keys, readings, sample.shard = entity.shard
            FROM sample JOIN entity USING (entity_key) WHERE fleet_id = %s
            """,
            fleet_id,
        )
        names = dict(self.rows("SELECT metric_key, name FROM metric"))
        assert all(row[-1] for row in rows)
        return sorted(
            (device, key, time, tuple(sorted((names[key], value) for key, value in zip(keys, values, strict=True))))
            for device, key, time, keys, values, _ in rows
        )

    def markers(self, fleet_id: str = "demo") -> set[tuple[Any, ...]]:
        """The distinct markers that concern a fleet: shard, minute, and a device, 'fleet', or None for the shard."""
        return set(
            self.rows(
                """
                SELECT
                    dirty.shard, window_start,
                    CASE WHEN entity_key IS NOT NULL THEN coalesce(device_id, 'fleet') END
                FROM dirty LEFT JOIN entity USING (entity_key)
                WHERE resolution = '1m' AND (entity_key IS NULL OR fleet_id = %s)
                """,
                fleet_id,
            )
        )

    def outcomes(self, fleet_id: str = "demo") -> dict[str, int]:
        """The number of a fleet's events by outcome."""
        return dict(
            self.rows("SELECT outcome, sum(events)::integer FROM outcome WHERE fleet_id = %s GROUP BY 1", fleet_id)
        )

    def covered(self, topic: str = "raw-events") -> dict[int, list[tuple[int, int]]]:
        """The ranges of offsets that are covered, by partition."""
        rows = self.rows("SELECT partition, offsets FROM coverage WHERE topic = %s", topic)
        return {partition: [(one.lower, one.upper) for one in offsets] for partition, offsets in rows}
