"""Records that kill their consumer: found, put aside with their bytes, and nothing else is held up or doubled.

The test does the killing: it makes a record of its own slow, and kills a consumer that is busy with it.
"""

import contextlib
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import redis
from confluent_kafka import Message, Producer

from cli.simulation.client import Ledger, digest
from sluice.core.failures.attempts import DEATHS, SINGLY_FROM
from sluice.core.samples.shards import shard_of
from tests.database.aggregating import Sent
from tests.faults.conftest import Injector, check, letters, wait_until
from tests.flow.conftest import Stack, check_numbers

TOPIC = "raw-events"


class Lane:
    """One partition, and the records of a fleet of this test's own in it."""

    def __init__(self, stack: Stack, partition: int) -> None:
        self.partition = partition
        self.fleet_id = f"killed-{partition}"
        self.ledger = Ledger()
        self.offsets: list[int] = []
        self._producer = Producer({"bootstrap.servers": stack["broker"], "acks": "all"})

    def event(self, device_id: str, age: timedelta = timedelta()) -> Sent:
        now = datetime.now(UTC)
        return Sent(0, now - age, now, device_id=device_id, event_id=str(uuid.uuid4()), fleet_id=self.fleet_id)

    def send(self, *events: Sent) -> list[bytes]:
        """Produce events as ingest would, together, and return their bytes."""
        first, bodies = len(self.offsets), []

        def note(error: object, report: Message) -> None:
            assert error is None
            offset = report.offset()
            assert offset is not None
            self.offsets.append(offset)

        for event in events:
            record = event.record()
            headers: list[tuple[str, str | bytes | None]] = list(record.headers.items())
            self._producer.produce(
                TOPIC,
                key=event.device_id,
                value=record.value,
                headers=headers,
                partition=self.partition,
                on_delivery=note,
            )
            bodies.append(record.value)
        assert self._producer.flush(30) == 0
        assert len(self.offsets) == first + len(events)
        return bodies

    def accept(self, *bodies: bytes) -> None:
        """Expect bytes in the raw store."""
        self.ledger.accepted.update(digest(body) for body in bodies)


class Death:
    """Kills a consumer's processes whenever they begin the batch of a partition, and when they try one record alone."""

    def __init__(self, stack: Stack, injector: Injector, verb: str, lane: Lane, position: int) -> None:
        self._cache = redis.Redis.from_url(stack["cache"])
        self._injector = injector
        self._verb = verb
        self._name = f"attempt:{{{verb}}}:{TOPIC}:{lane.partition}"
        self._lane, self._position = lane, position
        self.together = 0
        self.alone = 0

    def _state(self) -> dict[str, int]:
        found: Any = self._cache.hgetall(self._name)
        return {field.decode(): int(value) for field, value in found.items()}

    def _strike(self) -> None:
        before = self._state()
        if not before:
            return
        alone = before.get("trying") == self._lane.offsets[self._position]
        together = before.get("first") == self._lane.offsets[0] and before["number"] < SINGLY_FROM
        if not alone and not together:
            return
        time.sleep(0.3)
        # Still the same: it takes long over it.
        if self._state() != before:
            return
        for pid in self._injector.workers(self._verb):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.alone += alone
        self.together += not alone
        # Killed, its batch is retried; that is another state.
        wait_until("the batch is retried", lambda: self._state() != before)

    @contextlib.contextmanager
    def lurking(self) -> Iterator[None]:
        over = threading.Event()

        def lurk() -> None:
            while not over.wait(0.05):
                self._strike()

        thread = threading.Thread(target=lurk)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def killers(stack: Stack, verb: str, lane: Lane) -> list[dict[str, Any]]:
    """The letters about killers of a lane, each once: letters may be written twice, like everything here."""
    found = {
        letter["kafka_offset"]: letter
        for letter in letters(stack)
        if (letter["reason"], letter["consumer"], letter.get("kafka_partition"))
        == ("killer_record", verb, lane.partition)
    }
    return list(found.values())


def outcomes(stack: Stack, lane: Lane) -> dict[str, int]:
    """What aggregate says became of a lane's events."""
    sql = "SELECT outcome, sum(events)::integer FROM outcome WHERE (consumer, fleet_id) = ('aggregate', %s) GROUP BY 1"
    with psycopg.connect(stack["database"]) as connection:
        return dict(connection.execute(sql, (lane.fleet_id,)).fetchall())


def covered(stack: Stack, lane: Lane) -> bool:
    """Whether aggregate's ledger has no gap in a lane."""
    sql = """
        SELECT offsets @> int8range(%s, %s, '[]') FROM coverage
        WHERE (consumer, topic, partition) = ('aggregate', 'raw-events', %s)
    """
    with psycopg.connect(stack["database"]) as connection:
        rows = connection.execute(sql, (min(lane.offsets), max(lane.offsets), lane.partition)).fetchall()
    return rows == [(True,)]


@contextlib.contextmanager
def claimed(stack: Stack, fleet_id: str, device_id: str) -> Iterator[None]:
    """Hold an uncommitted insert of a device: any other session that inserts it waits."""
    sql = "INSERT INTO entity (fleet_id, device_id, shard) VALUES (%s, %s, %s)"
    with psycopg.connect(stack["database"]) as connection:
        connection.execute(sql, (fleet_id, device_id, shard_of(fleet_id, device_id)))
        yield
        connection.rollback()


@pytest.mark.shows_fault(
    part="consumer",
    fault="a record that kills the process, or takes all memory",
    expected="its neighbours are processed; it is in the dead letters with its bytes",
)
@pytest.mark.shows_loss_path(
    fails="a record kills its consumer's process",
    section="Between Kafka and the stores",
    event_is="in Kafka for five attempts, then in the dead letters",
    told="`archive-errors`, `aggregate-errors`",
    comes_back="its neighbours count once",
)
def test_a_record_that_kills_aggregate_is_put_aside_and_the_others_count_once(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    position, lane = 4, Lane(stack, partition=15)
    events = [lane.event(f"press-{number}") for number in range(5)]
    # Late, so that it is in no number: raw has it, since archive does not mind it.
    events[position] = lane.event("killer", age=timedelta(hours=2))
    death = Death(stack, injector, "aggregate", lane, position)
    with claimed(stack, lane.fleet_id, "killer"), death.lurking():
        bodies = lane.send(*events)
        lane.accept(*bodies)
        wait_until("the killer is in the dead letters", lambda: killers(stack, "aggregate", lane), seconds=90)
        stack.settle(readers=["aggregate"])
    assert (death.together, death.alone) == (SINGLY_FROM - 1, DEATHS)
    (letter,) = killers(stack, "aggregate", lane)
    assert letter["kafka_offset"] == lane.offsets[position]
    assert (letter["event"], letter["fleet_id"]) == (bodies[position].decode(), lane.fleet_id)
    assert letter["attempts"] == SINGLY_FROM + DEATHS
    # The partition continues.
    lane.accept(*lane.send(lane.event("press-0"), lane.event("press-9")))
    stack.settle()
    assert outcomes(stack, lane) == {"counted": 6, "dead_lettered": 1}
    assert covered(stack, lane)
    check(stack, lane.ledger, earlier)
    check_numbers(stack)


@pytest.mark.shows_fault(part="consumer", fault="a record that kills the process, or takes all memory")
def test_a_record_that_kills_archive_is_put_aside_and_its_neighbours_are_stored(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    lane = Lane(stack, partition=20)
    killer = lane.event("killer", age=timedelta(hours=2))
    events = [killer, *(lane.event(f"press-{number}") for number in range(4))]
    death = Death(stack, injector, "archive", lane, position=0)
    # Refused, and not silent: a request of the dead process must not be taken later.
    with injector.faulty_delivery(refuse_share=1.0), death.lurking():
        bodies = lane.send(*events)
        wait_until("the killer is in the dead letters", lambda: killers(stack, "archive", lane), seconds=90)
    lane.accept(*bodies)
    assert (death.together, death.alone) == (SINGLY_FROM - 1, DEATHS)
    (letter,) = killers(stack, "archive", lane)
    assert letter["kafka_offset"] == lane.offsets[0]
    assert letter["event"] == bodies[0].decode()
    lane.accept(*lane.send(lane.event("press-0"), lane.event("press-9")))
    check(stack, lane.ledger, earlier)
    # Archive's failure does not affect aggregate, which has counted what it can.
    assert outcomes(stack, lane) == {"counted": 6, "late": 1}
    check_numbers(stack)
