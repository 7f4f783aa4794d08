"""Random streams through aggregate's and roll's transactions, cut at any step.

Copies, disorder, late events and clocks that run ahead; batches cut in every way, some of them retried; processes
that die before a statement or after it, commits included.
"""

import json
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlparse

import psycopg

from sluice.core.errors import Retryable
from sluice.core.rollups.resolutions import RESOLUTIONS
from sluice.edge.database import Connection, Database
from sluice.edge.rollups import rolling
from sluice.edge.rollups.computing import NARROWER
from sluice.edge.rollups.rolling import Rolling
from sluice.edge.samples.storing import Samples
from sluice.edge.settings import DatabaseSettings
from tests.database.aggregating import Processes, Sent, as_aggregate, read
from tests.support.recomputation import RawEvent

BEGIN = datetime(2026, 1, 31, 22, 20, tzinfo=UTC)
END = datetime(2026, 2, 2, 0, 30, tzinfo=UTC)
PARTITIONS = 3
EVENTS = 400


@dataclass
class Stream:
    """What devices send in some hours around midnight, as the partitions of a topic hold it."""

    draw: random.Random
    partitions: dict[int, list[Sent]] = field(default_factory=lambda: defaultdict(list))

    def fill(self) -> None:
        """Send everything, in the order of its reception."""
        moment, sent = BEGIN, list[Sent]()
        for _ in range(EVENTS):
            moment += timedelta(seconds=self.draw.expovariate(EVENTS / timedelta(hours=3).total_seconds()))
            event = self._again(self.draw.choice(sent)) if sent and self.draw.random() < 0.2 else self._event(moment)
            held = self.partitions[event.partition]
            held.append(replace(event, offset=len(held), received_at=moment))
            sent.append(event)

    def _event(self, moment: datetime) -> Sent:
        number = self.draw.randrange(8)
        # Some clocks run ahead by hours: their events are sent again when their times are neither ahead nor late.
        ago = self.draw.uniform(*self.draw.choice(((0, 90), (0, 3), (0, 3), (-20, 5), (-170, -120))))
        metrics = {
            "cpu_temp": round(self.draw.gauss(48, 9), 1),
            "vibration_rms": round(self.draw.gauss(0, 2), 2),
            "supply_voltage": round(self.draw.gauss(24, 0.2), 2),
        }
        if self.draw.random() < 0.3:
            metrics |= {"humidity": round(self.draw.uniform(0, 99), 1), "fan_speed": 1200.0}
        return Sent(
            offset=0,
            event_time=moment - timedelta(minutes=ago),
            received_at=moment,
            device_id=f"press-{number}",
            fleet_id=self.draw.choice(("north", "south")),
            partition=number % PARTITIONS,
            event_id=f"{self.draw.getrandbits(128):032x}",
            metrics=metrics,
            version=self.draw.choice((1, 2, 3)),
        )

    def _again(self, event: Sent) -> Sent:
        """The same event, as it was or with other bytes."""
        if self.draw.random() < 0.5:
            return event
        moved = event.event_time + timedelta(minutes=self.draw.uniform(-10, 10))
        return replace(event, event_time=moved, metrics={name: value + 900 for name, value in event.metrics.items()})


def stored(sent: Sent) -> RawEvent:
    """The row that archive makes of an event."""
    record = sent.record()
    flags: list[str] = json.loads(record.headers["sluice"])[5]
    return RawEvent(
        fleet_id=sent.fleet_id,
        device_id=sent.device_id,
        event_id=str(sent.key),
        contract="telemetry",
        schema_version=sent.version,
        received_at=sent.received_at,
        flags=tuple(flags),
        event=record.value.decode(),
        kafka_partition=sent.partition,
        kafka_offset=sent.offset,
    )


class Pipeline:
    """Aggregate and roll on one database, in processes that may die at every step."""

    def __init__(
        self, dsn: str, stream: Stream, draw: random.Random, skipping: Mapping[int, Sequence[Sent]] | None = None
    ) -> None:
        self._dsn = dsn
        self._skipped = {(sent.partition, sent.offset) for held in (skipping or {}).values() for sent in held}
        """Records that aggregate never gets."""
        self._stream = stream
        self._draw = draw
        self._processes = Processes(dsn)
        self._mortal = True
        self._read = dict.fromkeys(range(PARTITIONS), 0)
        self._samples = self._start_aggregate()
        self._rolling, self._store = self._start_roll()
        self.deaths = 0

    def run(self) -> None:
        """Deliver and roll in any order until everything is delivered; then, undisturbed, to the end."""
        while any(self._read[number] < len(held) for number, held in self._stream.partitions.items()):
            with suppress(Retryable):
                self._draw.choices((self._deliver, self._roll), (3, 1))[0]()
        self._mortal = False
        for act in (lambda: self._rolling.roll_minutes(END, 64), *self._wider()):
            while self._surviving(act).shards:
                pass

    def close(self) -> None:
        """Let go of the database."""
        self._store.close()
        self._processes.end()

    def _deliver(self) -> None:
        """Hand over a batch: from some partitions, from where they were left or somewhat before."""
        batch: list[Sent] = []
        upto: dict[int, int] = {}
        for number in self._draw.sample(range(PARTITIONS), self._draw.randint(1, PARTITIONS)):
            start = max(0, self._read[number] - self._draw.choice((0, 0, 5)))
            records = self._stream.partitions[number][start : start + self._draw.randint(1, 30)]
            batch += [sent for sent in records if (sent.partition, sent.offset) not in self._skipped]
            upto[number] = start + len(records)
        try:
            self._samples.add(read(batch), suspected={})
        except Retryable:
            self._samples = self._start_aggregate()
            raise
        for number, read_until in upto.items():
            self._read[number] = max(self._read[number], read_until)

    def _roll(self) -> None:
        """Roll as far as everything is delivered."""
        held = [(self._read[number], self._stream.partitions[number]) for number in range(PARTITIONS)]
        watermark = min(records[read - 1].received_at if read else BEGIN for read, records in held)
        try:
            self._rolling.roll_minutes(watermark, self._draw.choice((1, 8, 64)))
            for roll in self._wider():
                roll()
        except Retryable:
            self._store.close()
            self._rolling, self._store = self._start_roll()
            raise

    def _wider(self) -> list[Callable[[], rolling.Rolled]]:
        return [lambda wider=wider: self._rolling.roll_wider(wider) for wider in NARROWER]  # type: ignore[misc]

    def _surviving(self, act: Callable[[], rolling.Rolled]) -> rolling.Rolled:
        while True:
            # A partition that was missing is made, and the step taken again.
            with suppress(Retryable):
                return act()

    def _start_aggregate(self) -> Samples:
        return self._processes.start(lambda: self._perilous(as_aggregate(self._dsn)()))

    def _start_roll(self) -> tuple[Rolling, Database]:
        place = urlparse(self._dsn)
        assert place.hostname
        assert place.port
        login = DatabaseSettings(place.hostname, place.port, place.path[1:], "sluice_roll", "none", "us-east-1")
        store = Database(lambda: self._perilous(rolling.connect(login, 60)), 60)
        return Rolling(store, timedelta(seconds=10), dict.fromkeys(RESOLUTIONS, timedelta(0))), store

    def _perilous(self, connection: Connection) -> Connection:
        """A connection whose owner may die whenever it waits for an answer, before the question or after it."""
        wait: Callable[..., Any] = connection.wait

        def wait_or_die(*arguments: Any, **named: Any) -> Any:
            self._perhaps_die(connection)
            answer = wait(*arguments, **named)
            self._perhaps_die(connection)
            return answer

        connection.wait = wait_or_die  # type: ignore[method-assign]
        return connection

    def _perhaps_die(self, connection: Connection) -> None:
        if self._mortal and self._draw.random() < 0.02:
            self.deaths += 1
            connection.close()
            raise psycopg.OperationalError("the process died")
