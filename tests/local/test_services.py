"""The real services, each killed and started again by the supervisor: where they answer and what they keep."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # exported, not declared

from local.install import install, kafka_installation, redis_installation
from local.ports import LOOPBACK, Ports
from local.processes import StackError
from local.services import aws, kafka, postgres
from local.services import redis as cache
from local.supervisor import Supervisor

Scenario = Callable[[Supervisor, Ports], Awaitable[None]]


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    install()


def run(logs: Path, scenario: Scenario) -> None:
    async def supervised() -> None:
        supervisor = Supervisor(logs, lambda _message: None, lambda: None)
        with Ports() as ports:
            try:
                await scenario(supervisor, ports)
            finally:
                await supervisor.stop()

    asyncio.run(supervised())


async def kill_and_await(supervisor: Supervisor, name: str, answers: Callable[[], Any]) -> Any:
    """Kill a service and ask until it answers again."""
    former = supervisor.pids[name]
    os.kill(former, signal.SIGKILL)
    async with asyncio.timeout(90):
        while True:
            if supervisor.pids[name] != former:
                try:
                    return await asyncio.to_thread(answers)
                except (psycopg.Error, redis.RedisError):
                    pass
            await asyncio.sleep(0.1)


@asynccontextmanager
async def database(supervisor: Supervisor, ports: Ports, directory: Path) -> AsyncIterator[postgres.Server]:
    root = os.geteuid() == 0
    home = postgres.borrow_directory() if root else directory
    try:
        place = postgres.borrowed_place(home) if root else postgres.own_place(home)
        server = postgres.Server(place, ports.reserve())
        await server.initialize(directory.parent)
        await supervisor.start(server.program())
        yield server
        await supervisor.stop()
    finally:
        shutil.rmtree(home)


def test_a_killed_database_comes_back_with_what_was_committed(tmp_path: Path) -> None:
    async def scenario(supervisor: Supervisor, ports: Ports) -> None:
        async with database(supervisor, ports, tmp_path / "database") as server:
            await server.create("example")
            dsn = server.dsn("example")
            with psycopg.connect(dsn) as connection:
                connection.execute("CREATE TABLE note AS SELECT 'kept' AS text")

            def read() -> Any:
                with psycopg.connect(dsn) as connection:
                    return connection.execute("SELECT text FROM note").fetchall()

            assert await kill_and_await(supervisor, "postgres", read) == [("kept",)]

    run(tmp_path, scenario)


def test_databases_run_side_by_side_and_stay_separate(tmp_path: Path) -> None:
    async def scenario(supervisor: Supervisor, ports: Ports) -> None:
        other_supervisor = Supervisor(tmp_path, lambda _message: None, lambda: None)
        async with database(supervisor, ports, tmp_path / "one") as one:
            try:
                async with database(other_supervisor, ports, tmp_path / "two") as two:
                    assert one.port != two.port
                    stranger = replace(one, port=two.port)
                    with pytest.raises(StackError, match="another PostgreSQL server"):
                        await stranger.program().ready(supervisor.pids["postgres"])
            finally:
                await other_supervisor.stop()

    run(tmp_path, scenario)


def test_a_killed_cache_comes_back_with_every_slot(tmp_path: Path) -> None:
    async def scenario(supervisor: Supervisor, ports: Ports) -> None:
        port = ports.reserve()
        program = cache.cache(redis_installation(), tmp_path / "cache", port=port, node_port=ports.reserve())
        await supervisor.start(program)

        def use() -> Any:
            with redis.RedisCluster(host=LOOPBACK, port=port) as client:
                client.set("{fleet}:key", "value", ex=60)
                return client.get("{fleet}:key")

        assert await asyncio.to_thread(use) == b"value"
        assert await kill_and_await(supervisor, "redis", use) == b"value"
        with pytest.raises(StackError, match="another Redis server"):
            await program.ready(os.getpid())

    run(tmp_path, scenario)


def test_killed_brokers_come_back_with_what_they_acknowledged(tmp_path: Path) -> None:
    async def scenario(supervisor: Supervisor, ports: Ports) -> None:
        settings = {"auto.create.topics.enable": "false", "default.replication.factor": "3", "min.insync.replicas": "2"}
        cluster = kafka.Cluster(kafka_installation(), tmp_path / "kafka", kafka.new_nodes(3, ports), settings)
        await cluster.format(tmp_path)
        async with asyncio.TaskGroup() as group:
            for program in cluster.programs():
                group.create_task(supervisor.start(program))
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        await asyncio.to_thread(admin.create_topics([NewTopic("notes", 3)])["notes"].result)
        assert await asyncio.to_thread(replicas, admin, "notes") == [3, 3, 3]

        def produce(text: str) -> None:
            producer = Producer({"bootstrap.servers": cluster.bootstrap, "acks": "all"})
            producer.produce("notes", text)
            assert producer.flush(60) == 0

        await asyncio.to_thread(produce, "before")
        former = dict(supervisor.pids)
        for pid in former.values():
            os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(90):
            while any(supervisor.pids[name] == pid for name, pid in former.items()):
                await asyncio.sleep(0.1)
        await asyncio.to_thread(produce, "after")
        assert await asyncio.to_thread(read_all, cluster.bootstrap, 2) == {b"before", b"after"}

    run(tmp_path, scenario)


def replicas(admin: AdminClient, topic: str) -> list[int]:
    """The replicas of each partition, as soon as the broker that answers knows the topic."""
    deadline = time.monotonic() + 60
    while not (partitions := admin.list_topics(topic, timeout=10).topics[topic].partitions):
        assert time.monotonic() < deadline, f"no broker ever heard of {topic}"
        time.sleep(0.1)
    return [len(each.replicas) for each in partitions.values()]


def read_all(bootstrap: str, count: int) -> set[bytes]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "auto.offset.reset": "earliest"})
    consumer.subscribe(["notes"])
    found: set[bytes] = set()
    for _ in range(60):
        record = consumer.poll(1)
        if record is not None and record.error() is None:
            found.add(record.value() or b"")
        if len(found) == count:
            break
    consumer.close()
    return found


def test_a_broker_of_another_cluster_is_refused(tmp_path: Path) -> None:
    async def scenario(supervisor: Supervisor, ports: Ports) -> None:
        cluster = kafka.Cluster(kafka_installation(), tmp_path / "kafka", kafka.new_nodes(1, ports))
        await cluster.format(tmp_path)
        (broker,) = cluster.programs()
        await supervisor.start(broker)
        stranger = replace(cluster, identity=kafka.new_identity())
        with pytest.raises(StackError, match="belongs to another Kafka cluster"):
            await stranger.programs()[0].ready(supervisor.pids[broker.name])

    run(tmp_path, scenario)


def test_the_stack_ends_when_the_emulation_and_its_buckets_are_lost(tmp_path: Path) -> None:
    async def scenario(supervisor: Supervisor, ports: Ports) -> None:
        await supervisor.start(aws.emulation(ports.listen(), "http://127.0.0.1:1"))
        os.kill(supervisor.pids["aws"], signal.SIGKILL)
        await supervisor.failed()

    with pytest.raises(StackError, match="aws was killed by SIGKILL, and what it held in memory is lost"):
        run(tmp_path, scenario)
