"""Numbers under faults: whichever part dies or is away, rollups are those of the events themselves."""

import contextlib
import time
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
import redis

from cli.simulation.client import Ledger, digest
from cli.simulation.clocks import LATEST, now
from tests.faults.conftest import Injector, check, post_during, wait_until
from tests.flow.conftest import Stack, check_numbers
from tests.flow.http import post
from tests.support import samples
from tests.support.stream import load


def check_all(stack: Stack, ledgers: list[Ledger], earlier: set[str], sent: int) -> None:
    """Every sent event was accepted, is in raw byte for byte, and is in the numbers once."""
    (ledger,) = ledgers
    assert sum(ledger.accepted.values()) >= sent
    check(stack, ledger, earlier)


@pytest.mark.shows_fault(part="consumer", fault="killed before and after its commit")
@pytest.mark.shows_loss_path(
    fails="a roller dies, or cannot compute a window",
    section="In the stores",
    event_is="in the samples; the window's marker stays",
    told="`roll-errors`, `roll-behind`",
    comes_back="the next run rolls it",
)
def test_rollers_that_are_killed_at_any_moment_leave_the_numbers_right(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    with injector.invoking("roll"), injector.killing_workers("roll", every_seconds=0.5, seed=52) as killed:
        thread, ledgers = post_during(stack, load(52, count=3000, seconds=10, enough=lambda: len(killed) >= 5))
        thread.join()
    assert len(killed) >= 5
    check_all(stack, ledgers, earlier, sent=3000)


@pytest.mark.shows_fault(
    part="consumer", fault="hangs until it times out", expected="no other consumer waits; effect once"
)
def test_workers_that_hang_hold_up_no_other_and_leave_the_numbers_right(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    stored = len(stack.stores.rows())
    thread, ledgers = post_during(stack, load(53, count=2000, seconds=4))
    with injector.holding_workers("aggregate") as held:
        thread.join()
        wait_until("workers are held", lambda: len(held) > 0)
        stack.settle(readers=["archive"])
        assert len(stack.stores.rows()) >= stored + 2000
    check_all(stack, ledgers, earlier, sent=2000)


@pytest.mark.shows_fault(part="cache", fault="down, flushed", expected="nothing counts twice")
@pytest.mark.shows_loss_path(
    fails="the cache forgets, or is away",
    section="In the stores",
    event_is="in the database, which is authoritative",
    told="`pressure-errors`, `ingest-uninformed`",
    comes_back="nothing to do; live counters restart at zero",
)
def test_a_cache_that_forgets_and_dies_lets_nothing_count_twice(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    event = samples.read("telemetry-v1.json") | {
        "event_id": "00000000-0000-4000-8000-0000000000ca",
        "device_id": "press-again",
        "timestamp": (now() - LATEST).isoformat(),
    }
    copies = [event, at_another_time(event, minutes=7), at_another_time(event, minutes=21)]
    send(stack, copies[0])
    stack.settle(readers=["aggregate"])
    thread, ledgers = post_during(stack, load(seed=55, count=3000, seconds=8))
    with redis.Redis.from_url(stack["cache"]) as cache:
        cache.flushall()
    send(stack, copies[1])
    stack.settle(readers=["aggregate"])
    victim = injector.pid("redis")
    injector.kill("redis")
    send(stack, copies[2])
    wait_until("the cache is back", lambda: injector.pid("redis") != victim)
    send(stack, copies[0])
    thread.join()
    earlier |= {digest(samples.encode(copy)) for copy in copies}
    check_all(stack, ledgers, earlier, sent=3000)
    assert minutes_of(stack, "press-again") == [(1,)]


@pytest.mark.shows_fault(part="PostgreSQL", fault="killed during commits", expected="no double count")
def test_a_database_that_dies_again_and_again_leaves_the_numbers_right(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    thread, ledgers = post_during(stack, load(seed=56, count=3000, seconds=12))
    for _ in range(3):
        injector.crash("postgres")
        wait_until("the database answers again", lambda: is_back(stack))
        time.sleep(1)
    thread.join()
    check_all(stack, ledgers, earlier, sent=3000)


@pytest.mark.shows_fault(
    part="PostgreSQL",
    fault="down for an hour, scaled",
    expected="ingestion and archive continue; numbers catch up by themselves",
)
@pytest.mark.shows_loss_path(
    fails="the database is away for an hour",
    section="Between Kafka and the stores",
    event_is="in Kafka; archive continues",
    told="`aggregate-retrying`, `aggregate-late`, `reconcile-unaccounted`",
    comes_back="aggregate catches up by itself",
)
def test_while_the_database_is_away_archive_continues_and_afterwards_the_numbers_catch_up_by_themselves(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    # A key that no process has seen cannot be accepted without the database.
    thread, known = post_during(stack, load(seed=58, count=500, seconds=1))
    thread.join()
    earlier |= set(known[0].accepted)
    stack.settle()
    stored = len(stack.stores.rows())
    began = time.monotonic()
    with injector.frozen("postgres"):
        thread, ledgers = post_during(stack, load(seed=57, count=4000, seconds=15))
        thread.join()
        live = 4000 / (time.monotonic() - began)
        stack.settle(readers=["archive"])
        assert len(stack.stores.rows()) >= stored + 4000
        backlog = stack.unread("aggregate")
        assert backlog >= 4000
    began = time.monotonic()
    wait_until("aggregate has caught up", lambda: stack.unread("aggregate") == 0)
    times_live = backlog / (time.monotonic() - began) / live
    check_all(stack, ledgers, earlier, sent=4000)
    # The aim is 3. This bound holds on any machine, also a busy one.
    assert times_live > 1, f"aggregate caught up at {times_live:.1f} times the live rate"


def test_what_closed_meanwhile_is_right_too(stack: Stack) -> None:
    check_numbers(stack, through=now())


def send(stack: Stack, event: dict[str, Any]) -> None:
    """Post one event until it is accepted."""
    wait_until("the event is accepted", lambda: post(stack, "/v1/events", samples.encode(event))[0] == 202)


def at_another_time(event: dict[str, Any], minutes: int) -> dict[str, Any]:
    """The same event, as a device sends it whose clock was set meanwhile."""
    moment = datetime.fromisoformat(event["timestamp"]) - timedelta(minutes=minutes)
    return event | {"timestamp": moment.isoformat()}


def minutes_of(stack: Stack, device: str) -> list[tuple[int]]:
    """How many temperatures of a device each of its minutes has."""
    sql = "SELECT count FROM rollups WHERE (device_id, metric, resolution) = (%s, 'cpu_temp', '1m')"
    with psycopg.connect(stack["database"]) as connection:
        return connection.execute(sql, (device,)).fetchall()


def is_back(stack: Stack) -> bool:
    """Whether the database answers."""
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(stack["database"], connect_timeout=2):
        return True
    return False
