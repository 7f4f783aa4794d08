"""A Kafka client for one caller at a time: it sends one request per broker, and nothing after the caller's deadline.

aiokafka retries an idempotent batch for ever, has no purge, and stores a record whose future was cancelled. So a client
with a record that failed is of no more use: `close` resets its connections first, then ends its tasks. What was on the
wire may still be stored; nothing else is.
"""

import asyncio
import socket
import ssl
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import BrokerResponseError, KafkaConnectionError, KafkaError
from aiokafka.partitioner import murmur2

from sluice.core.messages import Message
from sluice.core.records import Origin

RETRY_SECONDS = 0.1
REQUEST_SECONDS = 1.5
"""Shorter than a caller's deadline: when one broker hangs, another is asked within it."""
IDLE_SECONDS = 240
"""Networks forget connections that are idle for longer, and do not say so."""
END_SECONDS = 0.5
KEPT_KEYS = 100_000
"""A warm process knows its devices: hashing a key costs as much as sending its record."""
MAX_BATCH = 1000 * 1024
"""Kafka's limit for a batch is 1 MiB; what exceeds ours follows in another batch."""


class Unstored(msgspec.Struct, frozen=True):
    """The reason why a record is not known to be stored."""

    reason: str
    answered: bool = True
    """Whether the brokers said so; otherwise the record may be stored."""


Delivery = Unstored | None  # None means that the brokers acknowledged it

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds
_LATE = Unstored("no report within the deadline", answered=False)
_NOWHERE = Unstored("it is stored, and the brokers did not say where")


class KafkaClient:
    """One connection to each broker, and one idempotent producer."""

    def __init__(self, bootstrap: str, sign_token: Callable[[], str] | None = None, protocol: str = "SASL_SSL") -> None:
        self._loop = _Loop()
        self._bootstrap = bootstrap
        self._access: dict[str, Any] = {}
        if sign_token is not None:
            self._access = {
                "security_protocol": protocol,
                "ssl_context": ssl.create_default_context(),
                "sasl_mechanism": "OAUTHBEARER",
                "sasl_oauth_token_provider": _Tokens(sign_token),
            }
        self._producer: AIOKafkaProducer | None = None
        self._started = False

    def connect(self, topic: str, seconds: float) -> None:
        """Connect to a topic's brokers before its first message; raise ConnectionError when that fails."""
        try:
            self._loop.run_until_complete(self._connect(topic, self._loop.time() + seconds))
        except (TimeoutError, KafkaError) as error:
            raise ConnectionError(repr(error)) from error

    def store(self, messages: Sequence[Message], seconds: float) -> list[Delivery]:
        """Send messages and wait for what became of each, at most for some seconds."""
        return self._loop.run_until_complete(self._store(messages, self._loop.time() + seconds))

    def place(self, messages: Sequence[Message], seconds: float) -> list[Origin | Unstored]:
        """Send messages as `store` does, and return where each is stored."""
        places: dict[int, Origin] = {}
        deliveries = self._loop.run_until_complete(self._store(messages, self._loop.time() + seconds, places))
        return [
            places.get(index, _NOWHERE) if delivery is None else delivery for index, delivery in enumerate(deliveries)
        ]

    def close(self) -> None:
        """End everything at once. What was not sent is not sent any more."""
        self._loop.abort()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _connect(self, topic: str, deadline: float) -> None:
        async with asyncio.timeout_at(deadline):
            producer = await self._start()
            await producer.partitions_for(topic)
            await asyncio.gather(*(producer.client.ready(node.nodeId) for node in producer.client.cluster.brokers()))

    async def _store(
        self, messages: Sequence[Message], deadline: float, places: dict[int, Origin] | None = None
    ) -> list[Delivery]:
        deliveries: list[Delivery] = [_LATE] * len(messages)
        reports: dict[asyncio.Future[Any], list[int]] = {}
        try:
            async with asyncio.timeout_at(deadline):
                producer = await self._start()
                # Connections that the brokers closed since the last call are noticed now, not by sending into them.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                for topic, indexes in _by_topic(producer, messages):
                    try:
                        partitions = len(await producer.partitions_for(topic))
                    except BrokerResponseError as error:
                        _note(deliveries, indexes, Unstored(str(error)))
                        continue
                    for partition, taken in _by_partition(messages, indexes, partitions):
                        for batch, held in _fill(producer, messages, taken):
                            reports[await producer.send_batch(batch, topic, partition=partition)] = held
        except TimeoutError:
            pass
        except KafkaError as error:
            deliveries = [Unstored(str(error), answered=False)] * len(messages)
        if reports:
            done, _ = await asyncio.wait(reports, timeout=max(0.0, deadline - self._loop.time()))
            for report in done:
                refused = report.exception()
                _note(deliveries, reports[report], None if refused is None else _unstored(refused))
                if places is not None and refused is None:
                    _find_places(places, reports[report], report.result())
        return deliveries

    async def _start(self) -> AIOKafkaProducer:
        while not self._started:
            if self._producer is not None:
                await self._producer.stop()
            self._producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                client_id="sluice",
                acks="all",
                enable_idempotence=True,
                compression_type="lz4",
                max_batch_size=MAX_BATCH,
                retry_backoff_ms=int(RETRY_SECONDS * 1000),
                request_timeout_ms=int(REQUEST_SECONDS * 1000),
                connections_max_idle_ms=IDLE_SECONDS * 1000,
                **self._access,
            )
            _pace_metadata(self._producer.client)
            try:
                await self._producer.start()
                self._started = True
            except KafkaConnectionError:
                await asyncio.sleep(RETRY_SECONDS)
        return self._producer

    async def _end(self) -> None:
        # The sender first: otherwise stopping waits until it has sent everything.
        await _cancel_tasks()
        if self._producer is not None:
            await asyncio.wait({asyncio.ensure_future(self._producer.stop())}, timeout=END_SECONDS)
            await _cancel_tasks()


async def _cancel_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=END_SECONDS)


def _by_topic(producer: AIOKafkaProducer, messages: Sequence[Message]) -> list[tuple[str, list[int]]]:
    """Group messages by topic. A topic that the brokers have not described yet comes last: it may never be."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for index, message in enumerate(messages):
        groups[message.topic].append(index)
    return sorted(groups.items(), key=lambda group: producer.client.cluster.partitions_for_topic(group[0]) is None)


def _by_partition(
    messages: Sequence[Message], indexes: Iterable[int], partitions: int
) -> Iterable[tuple[int, list[int]]]:
    """Group a topic's messages by their partitions, in their order."""
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for index in indexes:
        groups[_choose_partition(messages[index].key, partitions)].append(index)
    return groups.items()


@lru_cache(KEPT_KEYS)
def _choose_partition(key: bytes, partitions: int) -> int:
    """Choose as Java's clients do: a device keeps its partition with any client."""
    number: int = murmur2(key)
    return (number & 0x7FFFFFFF) % partitions


def _fill(
    producer: AIOKafkaProducer, messages: Sequence[Message], indexes: Iterable[int]
) -> Iterator[tuple[Any, list[int]]]:
    """Put one partition's messages into as few batches as hold them, each with the indexes of its messages."""
    batch, taken = producer.create_batch(), list[int]()
    for index in indexes:
        message = messages[index]
        record = {"timestamp": None, "key": message.key, "value": message.value, "headers": list(message.headers)}
        # A batch takes its first record at any size; the brokers decide about it.
        if batch.append(**record) is None:
            yield batch, taken
            batch, taken = producer.create_batch(), []
            batch.append(**record)
        taken.append(index)
    yield batch, taken


def _note(deliveries: list[Delivery], indexes: Iterable[int], delivery: Delivery) -> None:
    for index in indexes:
        deliveries[index] = delivery


def _find_places(places: dict[int, Origin], indexes: Sequence[int], batch: Any) -> None:
    """Number a batch's records from its first offset, which the brokers name unless they had the batch already."""
    if batch.offset is not None and batch.offset >= 0:
        for number, index in enumerate(indexes):
            places[index] = Origin(batch.topic, batch.partition, batch.offset + number)


def _unstored(error: BaseException) -> Unstored:
    return Unstored(str(error), answered=isinstance(error, BrokerResponseError))


def _pace_metadata(client: Any) -> None:
    """Let a client ask for metadata with pauses: it asks without any while a partition has no leader."""
    update, clock = client.force_metadata_update, asyncio.get_running_loop().time
    last = -RETRY_SECONDS
    pending: asyncio.Future[Any] | None = None

    async def update_later(pause: float) -> Any:
        await asyncio.sleep(pause)
        return await update()

    def force() -> Any:
        nonlocal last, pending
        # All who ask meanwhile get the same answer: one update, not one after the other.
        if pending is None or pending.done():
            last, pause = max(last + RETRY_SECONDS, clock()), last + RETRY_SECONDS - clock()
            pending = update() if pause <= 0 else asyncio.ensure_future(update_later(pause))
        return asyncio.shield(pending)

    client.force_metadata_update = force


class _Loop(asyncio.SelectorEventLoop):
    """A loop that knows its connections, so that it can reset them."""

    def __init__(self) -> None:
        super().__init__()
        self._connections: list[asyncio.Transport] = []

    async def create_connection(self, *arguments: Any, **options: Any) -> Any:
        transport, protocol = await super().create_connection(*arguments, **options)
        self._connections = [each for each in self._connections if not each.is_closing()]
        self._connections.append(transport)
        return transport, protocol

    def abort(self) -> None:
        for transport in self._connections:
            connection = transport.get_extra_info("socket")
            if connection is not None and connection.fileno() >= 0:
                # Otherwise the system would still deliver what it has buffered.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()


class _Tokens(AbstractTokenProvider):  # type: ignore[misc]  # the library has no types
    def __init__(self, sign: Callable[[], str]) -> None:
        self._sign = sign

    async def token(self) -> str:
        try:
            return self._sign()
        except Exception as error:
            # aiokafka handles only errors of its own while it connects.
            raise KafkaError(f"no token could be signed: {error}") from error
