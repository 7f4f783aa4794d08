"""Ways of producing the same batches: the product's own, and librdkafka's, also with fewer partitions.

At least two replicas acknowledge every record. The brokers' CPU time is measured too: the ways differ most in it.
"""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import msgspec
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.costs import ROUNDS, Cost, Costs, cpu_seconds, write_costs
from bench.librdkafka import LibrdkafkaClient
from bench.ours import gateway_event
from bench.workloads import GATEWAY
from functions.ingest import handler as ingest
from infra.stores.topics import MIN_IN_SYNC_REPLICAS, REPLICATION_FACTOR
from sluice.core.messages import Message
from sluice.edge.broker import Broker, Client
from sluice.edge.kafka_client import Delivery, KafkaClient

BROKERS = "brokers"
PARTITIONS = 30
LONGEST_SECONDS = 20.0
FEWER_PARTITIONS = (10, 3, 1)


def measure(key: str, brokers: list[int]) -> Costs:
    """Measure every way in turns."""
    batches = _judged_batches(key)
    _create_topics()
    bootstrap = os.environ["KAFKA_BOOTSTRAP"]
    ways: dict[str, tuple[Client, int]] = {"as it is": (KafkaClient(bootstrap), PARTITIONS)}
    ways |= {f"as it is, partitions: {count}": (KafkaClient(bootstrap), count) for count in FEWER_PARTITIONS}
    ways["librdkafka"] = (LibrdkafkaClient(bootstrap), PARTITIONS)
    ways |= {f"librdkafka, partitions: {count}": (LibrdkafkaClient(bootstrap), count) for count in FEWER_PARTITIONS}
    costs = {name: Cost() for name in ways}
    for client, partitions in ways.values():
        _round(client, _on(partitions, batches[:3]), brokers)  # connects
    for _ in range(ROUNDS):
        for name, (client, partitions) in ways.items():
            costs[name] = costs[name].better(_round(client, _on(partitions, batches), brokers))
    for client, _ in ways.values():
        client.close()
    return costs


def _round(client: Client, batches: list[Sequence[Message]], brokers: list[int]) -> Cost:
    cpu, wall, brokers_cpu = time.process_time(), time.perf_counter(), cpu_seconds(brokers)
    for batch in batches:
        if any(delivery is not None for delivery in client.store(batch, LONGEST_SECONDS)):
            raise SystemExit("a record was not stored")
    cpu, wall, brokers_cpu = time.process_time() - cpu, time.perf_counter() - wall, cpu_seconds(brokers) - brokers_cpu
    events = sum(len(batch) for batch in batches)
    return Cost(cpu / events * 1e6, wall / len(batches) * 1e3, {BROKERS: brokers_cpu / events * 1e6})


def _on(partitions: int, batches: list[Sequence[Message]]) -> list[Sequence[Message]]:
    topic = _topic(partitions)
    return [[msgspec.structs.replace(message, topic=topic) for message in batch] for batch in batches]


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


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--key", required=True)
    arguments.add_argument("--alone", type=Path, required=True, help="write the costs to this file")
    arguments.add_argument("--brokers", type=int, nargs="+", required=True, help="the brokers' process ids")
    chosen = arguments.parse_args()
    write_costs(measure(chosen.key, chosen.brokers), chosen.alone)
