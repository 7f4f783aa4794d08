"""Ways of producing the same batches: the product's own, with another setting, number of partitions, or client.

At least two replicas acknowledge every record. The brokers' CPU time is measured too: the ways differ most in it.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.costs import ROUNDS, Cost, Costs, cpu_seconds, write_costs
from bench.ours import gateway_event
from bench.workloads import GATEWAY
from functions.ingest import handler as ingest
from infra.stores.topics import MIN_IN_SYNC_REPLICAS, REPLICATION_FACTOR
from sluice.core.messages import Message
from sluice.edge.broker import Broker, Delivery
from sluice.edge.settings import BrokerSettings

Store = Callable[[Sequence[Message]], object]

BROKERS = "brokers"
PARTITIONS = 30
SETTINGS: dict[str, dict[str, Any]] = {
    "linger.ms=0": {"linger.ms": 0},
    "linger.ms=20": {"linger.ms": 20},
    "no compression": {"compression.type": "none"},
    "Nagle's algorithm off": {"socket.nagle.disable": True},
    "not idempotent, 100 in flight": {"enable.idempotence": False, "max.in.flight": 100},
}
FEWER_PARTITIONS = (10, 3, 1)


def measure(key: str, brokers: list[int]) -> Costs:
    """Measure every way in turns."""
    batches = _judged_batches(key)
    _create_topics()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        multiplexed = Multiplexed(runner)
        ways: dict[str, Store] = {"as it is": _librdkafka(PARTITIONS, {})}
        ways |= {name: _librdkafka(PARTITIONS, changes) for name, changes in SETTINGS.items()}
        ways |= {f"partitions: {count}": _librdkafka(count, {}) for count in FEWER_PARTITIONS}
        ways["aiokafka, partitions remembered"] = multiplexed.store
        costs = {name: Cost() for name in ways}
        for store in ways.values():
            _round(store, batches[:3], brokers)  # connects
        for _ in range(ROUNDS):
            for name, store in ways.items():
                costs[name] = costs[name].better(_round(store, batches, brokers))
        multiplexed.close()
    return costs


def _round(store: Store, batches: list[Sequence[Message]], brokers: list[int]) -> Cost:
    cpu, wall, brokers_cpu = time.process_time(), time.perf_counter(), cpu_seconds(brokers)
    for batch in batches:
        store(batch)
    cpu, wall, brokers_cpu = time.process_time() - cpu, time.perf_counter() - wall, cpu_seconds(brokers) - brokers_cpu
    events = sum(len(batch) for batch in batches)
    return Cost(cpu / events * 1e6, wall / len(batches) * 1e3, {BROKERS: brokers_cpu / events * 1e6})


def _judged_batches(key: str) -> list[Sequence[Message]]:
    """Let the handler validate the gateway's batches, and take the records it would store."""
    batches: list[Sequence[Message]] = []

    def keep(_broker: Broker, records: Sequence[Message]) -> list[Delivery]:
        batches.append(records)
        return [None] * len(records)

    with mock.patch.object(Broker, "store", keep):
        for body in GATEWAY.bodies():
            ingest.handler(gateway_event(key, body.decode()), None)
    return batches


def _create_topics() -> None:
    """Make a topic for each number of partitions, replicated as the product's own are."""
    admin = AdminClient({"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP"]})
    config = {"min.insync.replicas": str(MIN_IN_SYNC_REPLICAS)}
    topics = [
        NewTopic(_topic(count), count, REPLICATION_FACTOR, config=config) for count in (PARTITIONS, *FEWER_PARTITIONS)
    ]
    for created in admin.create_topics(topics, operation_timeout=30).values():
        created.result(timeout=30)


def _topic(partitions: int) -> str:
    return f"bench-{partitions}"


def _librdkafka(partitions: int, changes: dict[str, Any]) -> Store:
    """Produce as the product does, but for a few settings."""

    def make_producer(config: dict[str, Any]) -> Producer:
        return Producer({**config, **changes})

    broker = Broker(BrokerSettings.from_environ(os.environ), make_producer)

    def store(records: Sequence[Message]) -> None:
        moved = [msgspec.structs.replace(record, topic=_topic(partitions)) for record in records]
        if any(delivery is not None for delivery in broker.store(moved)):
            raise SystemExit("a record was not stored")

    return store


class Multiplexed:
    """Another client: it sends the records for all partitions of one broker in one request."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._producer = runner.run(self._connect())

    def store(self, records: Sequence[Message]) -> None:
        """Produce records and wait until they are stored."""
        self._runner.run(self._store(records))

    def close(self) -> None:
        """Disconnect."""
        self._runner.run(self._producer.stop())

    async def _connect(self) -> Any:
        producer = AIOKafkaProducer(
            bootstrap_servers=os.environ["KAFKA_BOOTSTRAP"], acks="all", enable_idempotence=True
        )
        await producer.start()
        return producer

    async def _store(self, records: Sequence[Message]) -> None:
        reports = [
            await self._producer.send(
                _topic(PARTITIONS),
                key=record.key,
                value=record.value,
                partition=_partition_of(record.key),
                headers=list(record.headers),
            )
            for record in records
        ]
        await asyncio.gather(*reports)


@cache
def _partition_of(key: bytes) -> int:
    # This client computes the partition in Python, 10 us each time; a warm process knows its devices.
    number: int = murmur2(key)
    return (number & 0x7FFFFFFF) % PARTITIONS


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--key", required=True)
    arguments.add_argument("--alone", type=Path, required=True, help="write the costs to this file")
    arguments.add_argument("--brokers", type=int, nargs="+", required=True, help="the brokers' process ids")
    chosen = arguments.parse_args()
    write_costs(measure(chosen.key, chosen.brokers), chosen.alone)
