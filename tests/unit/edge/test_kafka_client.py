"""What the client makes of aiokafka's reports, with its producer replaced."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.partitioner import murmur2

from sluice.core.messages import Message
from sluice.edge import kafka_client
from sluice.edge.kafka_client import KafkaClient, Unstored

PARTITIONS = 3
SECONDS = 0.05


class Batch:
    """A partition's messages; it takes two."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    def append(self, *, value: bytes, **_: Any) -> object:
        if len(self.values) == 2:
            return None
        self.values.append(value)
        return self


class Producer:
    """Reports by partition: a result, an error, or nothing."""

    reports: dict[int, BaseException | None]
    made: list["Producer"]

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.sent: list[tuple[int, list[bytes]]] = []
        self.sender: asyncio.Task[None] | None = None
        self.flushed = False
        self.made.append(self)

    async def start(self) -> None:
        self.sender = asyncio.create_task(asyncio.sleep(60))

    async def stop(self) -> None:
        # As aiokafka does while its sender works.
        self.flushed = self.sender is not None and not self.sender.cancelled()

    async def partitions_for(self, _topic: str) -> set[int]:
        return set(range(PARTITIONS))

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, _topic: str, partition: int) -> "asyncio.Future[None]":
        self.sent.append((partition, batch.values))
        report: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if partition in self.reports:
            error = self.reports[partition]
            report.set_result(None) if error is None else report.set_exception(error)
        return report


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaClient]:
    monkeypatch.setattr(Producer, "reports", {}, raising=False)
    monkeypatch.setattr(Producer, "made", [], raising=False)
    monkeypatch.setattr(kafka_client, "AIOKafkaProducer", Producer)
    client = KafkaClient("broker:9098")
    yield client
    client.close()


def messages_for(*partitions: int) -> list[Message]:
    """A message for each partition, in this order."""
    keys = {(murmur2(key) & 0x7FFFFFFF) % PARTITIONS: key for key in (b"%d" % number for number in range(50))}
    return [Message("raw-events", keys[partition], b"%d" % index) for index, partition in enumerate(partitions)]


def test_each_message_has_the_report_of_its_own_batch(client: KafkaClient) -> None:
    Producer.reports = {0: None, 1: MessageSizeTooLargeError(), 2: None}
    deliveries = client.store(messages_for(0, 1, 2, 1, 0), SECONDS)
    assert [delivery is None for delivery in deliveries] == [True, False, True, False, True]
    assert all(delivery.answered for delivery in deliveries if delivery is not None)


def test_a_report_that_does_not_come_in_time_is_late_and_no_other(client: KafkaClient) -> None:
    Producer.reports = {0: None, 2: None}
    deliveries = client.store(messages_for(1, 0, 2), SECONDS)
    assert deliveries == [Unstored("no report within the deadline", answered=False), None, None]


def test_messages_of_one_partition_keep_their_order_over_batches(client: KafkaClient) -> None:
    Producer.reports = {1: None}
    assert client.store(messages_for(1, 1, 1, 1, 1), SECONDS) == [None] * 5
    assert Producer.made[0].sent == [(1, [b"0", b"1"]), (1, [b"2", b"3"]), (1, [b"4"])]


def test_a_record_is_acknowledged_by_all_replicas_in_sync_and_stored_once(client: KafkaClient) -> None:
    Producer.reports = {0: None}
    client.store(messages_for(0), SECONDS)
    client.store(messages_for(0), SECONDS)
    (producer,) = Producer.made
    assert (producer.options["acks"], producer.options["enable_idempotence"]) == ("all", True)


def test_a_topic_that_the_brokers_do_not_know_is_their_answer_to_each_message(
    client: KafkaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_self: Producer, _topic: str) -> set[int]:
        raise KafkaError("no such topic")

    monkeypatch.setattr(Producer, "partitions_for", refuse)
    assert all(isinstance(delivery, Unstored) for delivery in client.store(messages_for(0, 1), SECONDS))


@pytest.mark.usefixtures("client")
def test_what_was_not_sent_is_not_sent_any_more() -> None:
    discarded = KafkaClient("broker:9098")
    discarded.store(messages_for(0), SECONDS)
    discarded.close()
    (producer,) = Producer.made
    assert not producer.flushed


def test_closing_resets_the_connections() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = KafkaClient(f"127.0.0.1:{server.getsockname()[1]}")
        client.store(messages_for(0), SECONDS)
        connection, _ = server.accept()
        with connection:
            connection.setblocking(True)
            connection.settimeout(5)
            asked = connection.recv(4096)
            client.close()
            # Ours asked for the versions, and nothing else comes.
            assert asked
            assert connection.recv(4096) == b""
