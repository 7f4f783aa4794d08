"""Reading records again by their offsets, without joining a consumer group."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from sluice.core.errors import Retryable
from sluice.core.ledger.rerun import MOST_BYTES, MOST_RECORDS, ReadRecord
from sluice.core.pieces import cut
from sluice.core.records import Origin
from sluice.edge.settings import BrokerSettings
from sluice.edge.topic_offsets import configure_reader

READ_SECONDS = 10.0
_END = KafkaError._PARTITION_EOF  # noqa: SLF001 - the name the library publishes it under
GROUP = "reconcile"
"""The group name that reconcile reads under; it never joins a group or commits."""


class Rereader:
    """Reads a topic's records from given offsets."""

    def __init__(
        self, settings: BrokerSettings, topic: str, make_client: Callable[[dict[str, Any]], Consumer] = Consumer
    ) -> None:
        self._config: dict[str, Any] = {
            **configure_reader(settings, GROUP),
            "enable.auto.offset.store": False,
            # Records that Kafka has deleted are an error: the reader must not skip to later ones.
            "auto.offset.reset": "error",
            # Kafka may hold no record at the last offsets, such as after a transaction.
            "enable.partition.eof": True,
            # The client prefetches at most the payload of two invocations.
            "queued.max.messages.kbytes": 2 * MOST_BYTES // 1024,
        }
        self._topic = topic
        self._make = make_client

    def read(self, partition: int, start: int, end: int) -> Iterator[list[ReadRecord]]:
        """Read from an offset up to, but not including, another, in pieces of at most one invocation's payload."""
        with closing(self._make(self._config)) as consumer:
            consumer.assign([TopicPartition(self._topic, partition, start)])
            records = self._records(consumer, partition, start, end)
            yield from cut(records, lambda record: record.payload_bytes, MOST_BYTES, MOST_RECORDS)

    def _records(self, consumer: Consumer, partition: int, start: int, end: int) -> Iterator[ReadRecord]:
        next_one = start
        while next_one < end:
            # The client would wait for more records than exist.
            messages = consumer.consume(num_messages=min(500, end - next_one), timeout=READ_SECONDS)
            if not messages:
                raise Retryable(f"partition {partition} returns no records from offset {next_one} on")
            for message in messages:
                if (error := message.error()) is not None:
                    if error.code() == _END:
                        next_one = max(next_one, message.offset() or 0)
                        continue
                    raise Retryable(f"partition {partition} cannot be read from {next_one} on: {error}")
                record = _read(message)
                if record.origin.offset >= end:
                    return
                next_one = record.origin.offset + 1
                yield record


def _read(message: Any) -> ReadRecord:
    kind, timestamp = message.timestamp()
    origin = Origin(message.topic(), message.partition(), message.offset())
    return ReadRecord(origin, kind, timestamp, message.key(), message.value(), tuple(message.headers() or ()))
