"""A simulated client that reads the brokers without joining a group: offsets, and records by their offsets."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from tests.simulation.broker import BROKER, CREATE_TIME, Brokers, LogRecord
from tests.simulation.faults import KILLED_BEFORE, NO_ANSWER, SLOW
from tests.simulation.world import Answer

_BEGINNING, _END = -2, -1
READS = (KILLED_BEFORE, NO_ANSWER, SLOW)


class ReadMessage:
    """A record as the client gives it."""

    def __init__(self, record: LogRecord) -> None:
        self._record = record

    def topic(self) -> str:
        return self._record.topic

    def partition(self) -> int:
        return self._record.partition

    def offset(self) -> int:
        return self._record.offset

    def timestamp(self) -> tuple[int, int]:
        return CREATE_TIME, self._record.timestamp

    def key(self) -> bytes | None:
        return self._record.key

    def value(self) -> bytes:
        return self._record.value

    def headers(self) -> list[tuple[str, bytes]]:
        return list(self._record.headers)

    def error(self) -> None:
        return None


class SimulatedReader:
    """What TopicOffsets and Rereader ask of librdkafka's consumer."""

    def __init__(self, brokers: Brokers, config: dict[str, Any]) -> None:
        self._brokers = brokers
        self._group = str(config["group.id"])
        self._next: dict[tuple[str, int], int] = {}

    def list_topics(self, topic: str, timeout: float) -> Any:
        """Describe a topic."""
        del timeout
        described = SimpleNamespace(partitions=dict.fromkeys(range(len(self._brokers.topics[topic]))), error=None)
        return self._read("topics", SimpleNamespace(topics={topic: described}))

    def offsets_for_times(self, places: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Find the first offset since a time; two times mean the begin and the end."""
        del timeout
        return self._read("offsets", [self._find(place) for place in places])

    def committed(self, places: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Tell what the group has committed."""
        del timeout
        found: list[TopicPartition] = [
            TopicPartition(
                place.topic,
                place.partition,
                self._brokers.committed[self._group, place.topic].get(place.partition, -1001),
            )
            for place in places
        ]
        return self._read("committed", found)

    def assign(self, places: Sequence[TopicPartition]) -> None:
        """Read from these offsets on."""
        self._next = {(place.topic, place.partition): place.offset for place in places}

    def consume(self, num_messages: int, timeout: float) -> list[ReadMessage]:
        """Read the next records."""
        del timeout
        read: list[ReadMessage] = []
        for (topic, number), offset in self._next.items():
            log = self._brokers.topics[topic][number]
            records = log[offset : offset + num_messages - len(read)]
            self._next[topic, number] = offset + len(records)
            read += [ReadMessage(record) for record in records]
        return self._read("records", read)

    def close(self) -> None:
        """End."""

    def _find(self, place: TopicPartition) -> TopicPartition:
        log = self._brokers.topics[place.topic][place.partition]
        if place.offset == _BEGINNING:
            offset = 0
        elif place.offset == _END:
            offset = len(log)
        else:
            offset = next((one.offset for one in log if one.timestamp >= place.offset), _END)
        return TopicPartition(place.topic, place.partition, offset)

    def _read(self, what: str, answer: Answer) -> Answer:
        return self._brokers.world.perform(BROKER, f"read {what}", lambda _: answer, _fail, READS)


def _fail(kind: str) -> Exception:
    return KafkaException(KafkaError(KafkaError._TRANSPORT, kind))
