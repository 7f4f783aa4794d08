"""What consumers keep in the cache, on a real server in cluster mode."""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest
from redis.cluster import RedisCluster

from infra.stores.cache import BATCHES, COUNTERS, PUBLISHED, SEEN, TO_PUBLISH, Names, write_access
from local.install import install, redis_installation
from local.ports import LOOPBACK, Ports
from local.services import redis
from local.supervisor import Supervisor
from sluice.core.errors import Retryable
from sluice.core.failures.attempts import KEEP as KEEP_ATTEMPTS
from sluice.core.failures.attempts import by_partition
from sluice.core.failures.quarantine import KEEP as KEEP_ALLOWANCE
from sluice.core.ledger.groups import hour_of
from sluice.core.records import Origin
from sluice.core.samples.events import OTHERS, Event
from sluice.edge import cache as valkey
from sluice.edge.cache import Cache
from sluice.edge.failures.attempts import Attempts
from sluice.edge.failures.holding import Holds
from sluice.edge.failures.quarantine import SharedAllowance
from sluice.edge.published import SHARED_SECONDS, SharedCopy
from sluice.edge.samples.counters import KEEP as KEEP_COUNTERS
from sluice.edge.samples.counters import MAX_TYPES, Counters
from sluice.edge.samples.duplicate_hints import KEEP as KEEP_SEEN
from sluice.edge.samples.duplicate_hints import DuplicateHints
from sluice.edge.settings import CacheSettings
from tests.support.attempts import AttemptsContract, records
from tests.support.samples import NOW
from tests.unit.edge.samples.test_duplicate_hints import event

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def settings() -> Iterator[CacheSettings]:
    install()
    with tempfile.TemporaryDirectory() as directory, Ports() as ports, asyncio.Runner() as runner:
        port, node_port = ports.reserve(), ports.reserve()
        program = redis.cache(redis_installation(), Path(directory) / "data", port=port, node_port=node_port)

        async def start() -> Supervisor:
            supervisor = Supervisor(Path(directory), lambda _message: None, lambda: None)
            await supervisor.start(program)
            return supervisor

        supervisor = runner.run(start())
        try:
            yield CacheSettings(LOOPBACK, port, "local", "local", "none", "us-east-1")
        finally:
            runner.run(supervisor.stop())


@pytest.fixture
def server(settings: CacheSettings) -> Iterator[RedisCluster]:
    client = valkey.connect(settings)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def cache(server: RedisCluster, settings: CacheSettings) -> Cache:
    del server
    return Cache(partial(valkey.connect, settings))


def at_hour(one: Event, hours: int) -> Event:
    """The same event, as if it had been received some hours later."""
    moment = one.received_at + hours * HOUR
    group = msgspec.structs.replace(one.group, received_hour=hour_of(moment))
    return msgspec.structs.replace(one, received_at=moment, group=group)


def count_commands(server: RedisCluster) -> int:
    """How many commands have run since the statistics were reset."""
    found: dict[str, dict[str, int]] = server.info("commandstats")
    return sum(stats["calls"] for stats in found.values())


def test_what_was_marked_is_suspected_in_its_hour_and_in_the_next(cache: Cache) -> None:
    seen, first = DuplicateHints(cache), event(1)
    assert seen.suspects([first]) == set()
    seen.mark([first])
    for hours, suspected in ((0, True), (1, True), (2, False), (-1, False)):
        again = at_hour(first, hours)
        assert seen.suspects([again, event(2)]) == ({again.origin} if suspected else set())


def test_other_devices_and_fleets_are_not_suspected(cache: Cache) -> None:
    seen, first = DuplicateHints(cache), event(1)
    seen.mark([first])
    others = [msgspec.structs.replace(first, device_id="other"), msgspec.structs.replace(first, fleet_id="other")]
    assert seen.suspects(others) == set()


def test_an_hour_of_a_partition_takes_little_memory_and_ends(cache: Cache, server: RedisCluster) -> None:
    DuplicateHints(cache).mark([event(number) for number in range(10_000)])
    (name,) = server.keys("seen:*")
    # Some 22 bytes in Valkey 8, which needs no entry of its own for each member.
    assert (server.memory_usage(name) or 0) < 56 * 10_000
    assert 0 < server.ttl(name) <= KEEP_SEEN.total_seconds()


def test_partitions_spread_over_the_cluster_and_the_hours_of_one_are_together(
    cache: Cache, server: RedisCluster
) -> None:
    DuplicateHints(cache).mark(
        msgspec.structs.replace(at_hour(event(1), hours), origin=Origin("raw-events", partition, 1))
        for partition in range(30)
        for hours in range(2)
    )
    names = server.keys("seen:*")
    slots = {server.keyslot(name) for name in names}  # type: ignore[no-untyped-call]  # declared without types
    assert (len(names), len(slots)) == (60, 30)


def test_a_batch_asks_the_cache_little_however_many_devices_it_has(cache: Cache, server: RedisCluster) -> None:
    batch = [msgspec.structs.replace(event(number), device_id=f"press-{number}") for number in range(1000)]
    attempts, seen, counters = Attempts(cache, "aggregate"), DuplicateHints(cache), Counters(cache)
    places = by_partition(records(*range(1000)))
    server.config_resetstat()
    assert attempts.begin(places)
    assert seen.suspects(batch) == set()
    seen.mark(batch)
    counters.add(batch)
    attempts.end(dict.fromkeys(places))
    # What scripts call counts too. Per device it would be thousands.
    assert count_commands(server) < 40


def test_events_are_counted_by_the_minute_they_were_received_in_and_by_type(cache: Cache, server: RedisCluster) -> None:
    counters, one = Counters(cache), event(1)
    minute = one.received_at.replace(second=0, microsecond=0)
    next_minute = minute + timedelta(minutes=1)
    counters.add([one, event(2), msgspec.structs.replace(event(3), event_type="door_opened")])
    counters.add([event(4), msgspec.structs.replace(event(5), received_at=next_minute)])
    assert counters.read("demo", [minute, next_minute, minute + HOUR]) == [
        {"telemetry": 3, "door_opened": 1},
        {"telemetry": 1},
        {},
    ]
    assert 0 < min(server.ttl(name) for name in server.keys("count:*")) <= KEEP_COUNTERS.total_seconds()


def test_devices_cannot_fill_the_cache_with_types_of_their_own(cache: Cache) -> None:
    def typed(number: int) -> Event:
        return msgspec.structs.replace(event(number), event_type=f"type-{number}")

    counters, one = Counters(cache), event(0)
    counters.add([typed(number) for number in range(100)])
    (types,) = counters.read("demo", [one.received_at.replace(second=0, microsecond=0)])
    assert len(types) == MAX_TYPES + 1
    assert types[OTHERS] == 100 - MAX_TYPES


class TestAttempts(AttemptsContract):
    """Attempts and allowances, by the scripts themselves."""

    @pytest.fixture
    def cache(self, server: RedisCluster, settings: CacheSettings) -> Cache:
        del server
        return Cache(partial(valkey.connect, settings))

    def test_all_of_it_ends(self, attempts: Attempts, cache: Cache, server: RedisCluster) -> None:
        attempts.begin(by_partition([*records(100, 101), *records(7, partition=7)]))
        attempts.mark(Origin("raw-events", 4, 100))
        # A batch that was never begun leaves nothing.
        attempts.mark(Origin("raw-events", 9, 100))
        attempts.end({("raw-events", 10): 100})
        SharedAllowance(cache, "archive", processes=1).spend(1, 0, NOW)
        left = {name: server.ttl(name) for name in server.keys("attempt:*")}
        assert len(left) == 2
        assert all(
            KEEP_ATTEMPTS.total_seconds() - 5 <= seconds <= KEEP_ATTEMPTS.total_seconds() for seconds in left.values()
        )
        assert KEEP_ALLOWANCE.total_seconds() - 5 <= server.ttl("quarantine:archive") <= KEEP_ALLOWANCE.total_seconds()

    def test_a_hold_ends_an_hour_after_its_version_was_last_seen(self, cache: Cache, server: RedisCluster) -> None:
        Holds(cache, "archive", seconds=600).find_over({"envelope 2"}, NOW)
        server.expire("ahead:{archive}:envelope 2", 10)
        Holds(cache, "archive", seconds=600).find_over({"envelope 2"}, NOW)
        assert 3590 <= server.ttl("ahead:{archive}:envelope 2") <= 3600

    def test_good_records_alone_do_not_make_an_allowance_last(self, cache: Cache, server: RedisCluster) -> None:
        SharedAllowance(cache, "archive", processes=1).spend(0, 1000, NOW)
        assert not server.exists("quarantine:archive")


@contextlib.contextmanager
def logged_in(server: RedisCluster, settings: CacheSettings, *names: Names) -> Iterator[Cache]:
    """The cache for a user with the permissions of the template: what it lacks one for fails."""
    allowed = write_access(*names).split()
    server.execute_command("ACL", "SETUSER", "someone", "reset", "nopass", *allowed)  # type: ignore[no-untyped-call]  # declared without types
    mine = RedisCluster(host=settings.cache_host, port=settings.cache_port, username="someone", password="any")
    with contextlib.closing(mine):
        yield Cache(lambda: mine)


def test_a_published_document_replaces_only_an_older_one(server: RedisCluster, settings: CacheSettings) -> None:
    with logged_in(server, settings, TO_PUBLISH) as cache:
        publisher = SharedCopy("words", cache)
        for version, document in (
            (1_800_000_000_002, b"new"),
            (1_800_000_000_001, b"old"),
            (1_800_000_000_002, b"other"),
        ):
            assert publisher.put(version, document) == 1_800_000_000_002
    with logged_in(server, settings, PUBLISHED) as cache:
        reader = SharedCopy("words", cache)
        assert (reader.version(), reader.get()) == (1_800_000_000_002, b"new")
        assert SharedCopy("others", cache).version() == 0
        with pytest.raises(Retryable, match="permission"):
            reader.put(1_800_000_000_003, b"newer")
    assert 0 < server.ttl("published:words") <= SHARED_SECONDS


@pytest.mark.parametrize("version", [b"abc", b"", b"1e300"])
def test_a_version_that_is_none_is_replaced(server: RedisCluster, settings: CacheSettings, version: bytes) -> None:
    server.hset("published:words", "version", version)
    with logged_in(server, settings, TO_PUBLISH) as cache:
        assert SharedCopy("words", cache).put(7, b"new") == 7


def test_a_consumer_may_do_all_that_it_does_as_the_user_of_the_template(
    server: RedisCluster, settings: CacheSettings
) -> None:
    with logged_in(server, settings, BATCHES, SEEN, COUNTERS) as cache:
        attempts = Attempts(cache, "archive")
        places = by_partition(records(100, 101))
        assert attempts.begin(places)
        attempts.mark(Origin("raw-events", 4, 100))
        attempts.end(dict.fromkeys(places))
        SharedAllowance(cache, "archive", processes=1).spend(1, 0, NOW)
        assert Holds(cache, "archive", seconds=0).find_over({"envelope 2"}, NOW) == {"envelope 2"}
        assert set(server.keys("*")) == {b"quarantine:archive", b"ahead:{archive}:envelope 2"}
        DuplicateHints(cache).mark([event(1)])
        assert DuplicateHints(cache).suspects([event(1)]) == {event(1).origin}
        Counters(cache).add([event(1)])
