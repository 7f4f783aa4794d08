"""A process or its connection may end between any two steps of a batch, and two may work on the same one."""

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from sluice.core.errors import Retryable
from sluice.core.samples.events import Event
from sluice.edge.retry import Retry
from sluice.edge.samples.storing import Effect, Samples
from tests.database.aggregating import Processes, Sent, Tables, now, read

MINUTE = timedelta(minutes=1)


class Watched(psycopg.Connection[tuple[Any, ...]]):
    """A connection that announces each step before it takes it: statements, a copy, the commit and what follows it."""

    on_step: Callable[[], None]

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        # Every statement and the copy have one of their own.
        self.on_step()
        return super().cursor(*arguments, **options)

    @contextlib.contextmanager
    def transaction(self, *arguments: Any, **options: Any) -> Iterator[psycopg.Transaction]:
        with super().transaction(*arguments, **options) as transaction:
            yield transaction
            self.on_step()
        self.on_step()


@pytest.fixture
def tables(database: str) -> Iterator[Tables]:
    found = Tables(database)
    with found.connection:
        yield found


@pytest.fixture
def processes(database: str) -> Iterator[Processes]:
    made = Processes(database)
    yield made
    made.end()


def watched(database: str, on_step: Callable[[Watched], None]) -> Callable[[], Watched]:
    """Connect as aggregate does, but watched."""

    def connect() -> Watched:
        connection = Watched.connect(database, user="sluice_aggregate", autocommit=True)
        connection.on_step = lambda: on_step(connection)
        return connection

    return connect


def batch(topic: str) -> list[Event]:
    """Every kind of event that matters: two partitions, a duplicate, a late one, a clock ahead, unknown fields."""
    moment = now()
    ages = [0, 1, 2, 0, 70, -9, 3]
    sent = [
        Sent(
            number // 2,
            moment - age * MINUTE,
            moment,
            device_id=f"device-{number % 2}",
            event_id=str(uuid.UUID(int=number)),
            fleet_id=topic,
            topic=topic,
            partition=number % 2,
        )
        for number, age in enumerate(ages)
    ]
    sent.append(replace(sent[1], offset=3))
    sent.append(replace(sent[0], offset=4, event_id=str(uuid.UUID(int=9)), metrics={**sent[0].metrics, "odd": 1}))
    return read(sent)


def begin(samples: Samples, topic: str) -> None:
    """Add the partitions of a batch to the ledger."""
    moment = now()
    samples.add(
        read(Sent(90, moment, moment, fleet_id="before", topic=topic, partition=number) for number in range(2)), set()
    )


def retried(samples: Samples, events: list[Event]) -> Effect:
    """Have a batch taken in as an invocation does."""
    return Retry(30).run(lambda: samples.add(events, set()))


def state(tables: Tables, topic: str) -> tuple[Any, ...]:
    return (
        tables.samples(topic),
        {marker for marker in tables.markers(topic) if marker[2] == "fleet"},
        tables.outcomes(topic),
        tables.covered(topic),
        tables.rows("SELECT count(*) FROM settled_event JOIN entity USING (entity_key) WHERE fleet_id = %s", topic),
        tables.rows("SELECT sum(events) FROM unknown_field WHERE fleet_id = %s", topic),
        tables.rows("SELECT count(*) FROM sighting JOIN entity USING (entity_key) WHERE fleet_id = %s", topic),
    )


def counts(tables: Tables, topic: str) -> tuple[Any, ...]:
    """The state of a topic, without the ids and names that differ in each run."""
    samples, markers, outcomes, covered, *rest = state(tables, topic)
    return (len(samples), len(markers), outcomes, covered, *rest)


@pytest.mark.shows_fault(part="consumer", fault="killed before and after its commit")
def test_a_connection_may_be_lost_before_any_step_and_the_batch_takes_effect_once(
    database: str, tables: Tables, processes: Processes
) -> None:
    steps = 0

    def count(_: Watched) -> None:
        nonlocal steps
        steps += 1

    retried(processes.start(), batch("before"))  # gives the metrics their numbers, which is done once for all
    retried(processes.start(watched(database, count)), batch("whole"))
    expected = counts(tables, "whole")
    assert expected[2] == {"counted": 7, "duplicate": 1, "late": 1}
    assert steps > 12

    for fatal in range(1, steps + 1):
        topic, step = f"lost-{fatal}", 0
        lost: list[int] = []

        def lose(connection: Watched, fatal: int = fatal, lost: list[int] = lost) -> None:
            nonlocal step
            step += 1
            if step == fatal:
                lost.append(connection.info.backend_pid)
                tables.rows("SELECT pg_terminate_backend(%s, 10000)", connection.info.backend_pid)

        events = batch(topic)
        writer = processes.start(watched(database, lose))
        retried(writer, events)
        assert len(lost) == 1, fatal
        assert counts(tables, topic) == expected, fatal
        # And the batch is delivered once more, to another process.
        assert processes.start().add(events, set()).events == []
        assert counts(tables, topic) == expected, fatal


@pytest.mark.shows_fault(part="PostgreSQL", fault="killed during commits")
@pytest.mark.parametrize("begun", [True, False])
def test_an_invocation_that_was_given_up_may_still_commit_while_its_batch_is_retried(
    database: str, tables: Tables, processes: Processes, begun: bool
) -> None:
    """The retry waits for the ledger's rows, and then finds everything covered."""
    if begun:
        begin(processes.start(), "zombie")
    arrived, go_on = threading.Event(), threading.Event()
    events = batch("zombie")
    done: dict[str, Effect] = {}

    def hesitate(connection: Watched) -> None:
        if connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS and inserted(connection):
            arrived.set()
            go_on.wait()

    zombie = processes.start(watched(database, hesitate))
    first = threading.Thread(target=lambda: done.update(first=zombie.add(events, set())))
    second = threading.Thread(target=lambda: done.update(second=processes.start().add(events, set())))
    first.start()
    arrived.wait()
    second.start()
    try:
        wait_for_lock(tables)
    finally:
        go_on.set()
        first.join()
        second.join()
    assert len(done["first"].events) == len(events)
    assert done["second"].events == []
    assert tables.outcomes("zombie") == {"counted": 7, "duplicate": 1, "late": 1}


@pytest.mark.parametrize("begun", [True, False])
def test_the_retry_does_all_of_it_when_the_invocation_that_was_given_up_does_not_commit(
    database: str, tables: Tables, processes: Processes, begun: bool
) -> None:
    if begun:
        begin(processes.start(), "zombie")
    arrived, go_on = threading.Event(), threading.Event()
    events = batch("zombie")
    done: dict[str, Any] = {}

    def die(connection: Watched) -> None:
        if connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS and inserted(connection):
            arrived.set()
            go_on.wait()
            connection.close()

    def give_up() -> None:
        with contextlib.suppress(Retryable):
            done.update(first=zombie.add(events, set()))

    zombie = processes.start(watched(database, die))
    first = threading.Thread(target=give_up)
    second = threading.Thread(target=lambda: done.update(second=processes.start().add(events, set())))
    first.start()
    arrived.wait()
    second.start()
    try:
        wait_for_lock(tables)
    finally:
        go_on.set()
        first.join()
        second.join()
    assert "first" not in done
    assert len(done["second"].events) == len(events)
    assert tables.outcomes("zombie") == {"counted": 7, "duplicate": 1, "late": 1}


def inserted(connection: Watched) -> bool:
    """Whether the transaction has come as far as its samples."""
    with psycopg.Cursor(connection) as cursor:
        found = cursor.execute("SELECT EXISTS (SELECT FROM landed)").fetchone()
    return found == (True,)


def wait_for_lock(tables: Tables) -> None:
    """Wait until one session waits for a row that another one holds."""
    waiting = threading.Event()
    blocked = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'sluice_aggregate'"
    while not tables.rows(blocked):
        waiting.wait(0.02)
