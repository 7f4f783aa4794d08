"""What the client makes of aiokafka's reports, with its producer replaced."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, UnknownTopicOrPartitionError
from aiokafka.partitioner import murmur2

from sluice.core.messages import Message
from sluice.edge import kafka_client
from sluice.edge.kafka_client import KafkaClient, Unstored

PARTITIONS = 3
SECONDS = 0.05


class Cluster:
    """Its metadata: which topics are known, and a way to ask for them again."""

    def __init__(self) -> None:
        self.cluster = self
        self.asked = 0

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return None if topic.startswith("unknown") else set(range(PARTITIONS))

    def force_metadata_update(self) -> "asyncio.Future[bool]":
        self.asked += 1
        updated: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        updated.set_result(True)
        return updated


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
        self.client = Cluster()
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


def test_a_topic_that_the_brokers_do_not_know_fails_alone(client: KafkaClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_self: Producer, topic: str) -> set[int]:
        if topic == "unknown":
            raise UnknownTopicOrPartitionError("no such topic")
        return set(range(PARTITIONS))

    monkeypatch.setattr(Producer, "partitions_for", refuse)
    Producer.reports = {0: None}
    deliveries = client.store([Message("unknown", b"k", b"v"), *messages_for(0)], SECONDS)
    assert [delivery is None for delivery in deliveries] == [False, True]


def test_a_topic_that_no_broker_describes_does_not_hold_up_the_others(
    client: KafkaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait(_self: Producer, topic: str) -> set[int]:
        await asyncio.sleep(60 if topic == "unknown" else 0)
        return set(range(PARTITIONS))

    monkeypatch.setattr(Producer, "partitions_for", wait)
    Producer.reports = {0: None}
    deliveries = client.store([Message("unknown", b"k", b"v"), *messages_for(0)], SECONDS)
    assert [delivery is None for delivery in deliveries] == [False, True]


def test_a_report_that_is_no_brokers_answer_does_not_count_as_one(client: KafkaClient) -> None:
    Producer.reports = {0: KafkaError("unexpected"), 1: MessageSizeTooLargeError()}
    first, second = client.store(messages_for(0, 1), SECONDS)
    assert first is not None
    assert second is not None
    assert (first.answered, second.answered) == (False, True)


def test_metadata_is_asked_for_with_pauses(client: KafkaClient) -> None:
    Producer.reports = {0: None}
    client.store(messages_for(0), SECONDS)
    (producer,) = Producer.made

    async def ask_without_pause(seconds: float) -> None:
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            await producer.client.force_metadata_update()

    client._loop.run_until_complete(ask_without_pause(5 * kafka_client.RETRY_SECONDS))
    assert 2 <= producer.client.asked <= 7


def test_all_who_ask_for_metadata_meanwhile_wait_for_one_update(client: KafkaClient) -> None:
    Producer.reports = {0: None}
    client.store(messages_for(0), SECONDS)
    (producer,) = Producer.made

    async def ask_at_once() -> None:
        async with asyncio.timeout(5 * kafka_client.RETRY_SECONDS):
            await asyncio.gather(*(producer.client.force_metadata_update() for _ in range(100)))
            await asyncio.gather(*(producer.client.force_metadata_update() for _ in range(100)))

    client._loop.run_until_complete(ask_at_once())
    assert producer.client.asked <= 3


def test_a_token_that_cannot_be_signed_is_an_outage() -> None:
    def fail() -> str:
        raise RuntimeError("no credentials")

    tokens = kafka_client._Tokens(fail)
    with pytest.raises(KafkaError, match="no credentials"):
        asyncio.run(tokens.token())


@pytest.mark.usefixtures("client")
def test_what_was_not_sent_is_not_sent_any_more() -> None:
    discarded = KafkaClient("broker:9098")
    discarded.store(messages_for(0), SECONDS)
    discarded.close()
    (producer,) = Producer.made
    assert not producer.flushed


def test_closing_resets_the_connections_and_delivers_nothing_that_is_buffered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        loop = kafka_client._Loop()
        transport, _ = loop.run_until_complete(loop.create_connection(asyncio.Protocol, *server.getsockname()))
        connection, _ = server.accept()
        with connection:
            transport.write(b"x" * 50_000_000)
            loop.abort()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
            with pytest.raises(ConnectionResetError):
                read_all(connection)


def read_all(connection: socket.socket) -> None:
    while connection.recv(1_000_000):
        pass
