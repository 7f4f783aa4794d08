"""A database without connections or without room, and a cache without memory: numbers are late and never wrong."""

import contextlib
import time
from collections.abc import Iterator

import psycopg
import pytest
import redis

from tests.faults.conftest import Injector, check, post_during, wait_until
from tests.flow.conftest import Stack
from tests.support.stream import load


@contextlib.contextmanager
def all_connections(stack: Stack) -> Iterator[int]:
    """Hold every connection that the server gives."""
    held: list[psycopg.Connection[tuple[object, ...]]] = []
    try:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                held.append(psycopg.connect(stack["database"], connect_timeout=5))
        yield len(held)
    finally:
        for connection in held:
            connection.close()


@pytest.mark.shows_fault(
    part="PostgreSQL",
    fault="no connection left",
    expected="ingestion and archive continue; numbers catch up by themselves",
)
def test_a_database_without_a_free_connection_holds_up_numbers_and_nothing_else(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    stored = len(stack.stores.rows())
    with all_connections(stack) as held:
        assert held > 10
        # Open connections are cut now, and none is free.
        injector.end_workers("aggregate")
        thread, ledgers = post_during(stack, load(seed=71, count=1000, seconds=4))
        thread.join()
        stack.settle(readers=["archive"])
        assert len(stack.stores.rows()) >= stored + 1000
        assert stack.unread("aggregate") > 0
    (ledger,) = ledgers
    assert set(ledger.statuses) <= {202, 207, 429}
    check(stack, ledger, earlier)


@pytest.mark.shows_fault(
    part="PostgreSQL", fault="disk full, connections reset", expected="no double count, nothing is lost"
)
def test_a_database_whose_disk_is_full_and_whose_connections_are_cut_counts_everything_once(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    thread, ledgers = post_during(stack, load(seed=72, count=2000, seconds=8))
    time.sleep(1)
    victim = injector.pid("postgres")
    with injector.full_disk("postgres"):
        wait_until("the server has ended over it", lambda: injector.pid("postgres") != victim)
    with injector.cutting("postgres", every_seconds=0.8) as cuts:
        thread.join()
        # Where the machine is busy the server has only just come back.
        wait_until("an open connection has been cut off", lambda: sum(cuts) > 0)
    (ledger,) = ledgers
    assert sum(ledger.accepted.values()) >= 2000
    assert set(ledger.statuses) <= {202, 207, 429}
    check(stack, ledger, earlier)


@pytest.mark.shows_fault(part="cache", fault="evicting, slow", expected="no number changes")
def test_a_cache_that_evicts_and_a_cache_that_is_slow_change_no_number(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    cache = redis.Redis.from_url(stack["cache"])
    memory = str(cache.config_get("maxmemory")["maxmemory"])
    thread, ledgers = post_during(stack, load(seed=73, count=2000, seconds=6))
    cache.config_set("maxmemory", "2mb")
    try:
        with injector.slow("redis"):
            thread.join()
        assert cache.info("stats")["evicted_keys"] > 0
    finally:
        cache.config_set("maxmemory", memory)
        cache.close()
    (ledger,) = ledgers
    assert sum(ledger.accepted.values()) >= 2000
    assert set(ledger.statuses) <= {202, 207, 429}
    check(stack, ledger, earlier)
