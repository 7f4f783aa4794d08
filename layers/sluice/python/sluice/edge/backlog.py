"""Asking the brokers how far one consumer has come in a topic, and where moments lie in it."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

# Not AdminClient: in librdkafka 2.16 its list_offsets loses one question in ten, and a bisection asks nine.
from confluent_kafka import Consumer, KafkaException, TopicPartition

from sluice.core.errors import Retryable
from sluice.core.offsets import Extent, find_unread
from sluice.edge.broker import identify
from sluice.edge.settings import BrokerSettings

ANSWER_SECONDS = 3.0

# What the brokers take for the beginning and the end of a partition in place of a moment.
_BEGINNING, _END = -2, -1


class Backlog:
    """What a consumer has still to read; asked under its name, without ever joining it or reading a record."""

    def __init__(
        self,
        settings: BrokerSettings,
        topic: str,
        group: str,
        make_client: Callable[[dict[str, Any]], Consumer] = Consumer,
    ) -> None:
        self._config = {
            "bootstrap.servers": settings.kafka_bootstrap,
            "client.id": "sluice",
            "group.id": group,
            "enable.auto.commit": False,
            "log.connection.close": False,
            **identify(settings),
        }
        self._topic = topic
        self._make = make_client
        self._client: Consumer | None = None

    def ask_unread(self) -> dict[int, int]:
        """Ask for the first unread offset of each partition that has one; Retryable while the brokers do not answer."""
        try:
            self._client = self._client or self._make(self._config)
            partitions = self._list_partitions(self._client)
            first, last = (self._find(self._client, partitions, moment) for moment in (_BEGINNING, _END))
        except KafkaException as error:
            raise self._unanswered(error) from error
        committed = self.ask_committed(partitions)
        return find_unread({each: Extent(first[each], last[each]) for each in partitions}, committed)

    def ask_committed(self, partitions: Iterable[int]) -> dict[int, int]:
        """Ask where the consumer goes on; a partition of which it has read nothing is left out."""
        places = [TopicPartition(self._topic, partition) for partition in partitions]
        try:
            self._client = self._client or self._make(self._config)
            return _read(self._client.committed(places, timeout=ANSWER_SECONDS))
        except KafkaException as error:
            raise self._unanswered(error) from error

    def ask_since(self, moment: datetime, partitions: Iterable[int]) -> dict[int, int]:
        """Ask for the first offset that was stored since a moment; a partition that has none is left out."""
        try:
            self._client = self._client or self._make(self._config)
            return self._find(self._client, partitions, int(moment.timestamp() * 1000))
        except KafkaException as error:
            raise self._unanswered(error) from error

    def _list_partitions(self, client: Consumer) -> list[int]:
        topic = client.list_topics(self._topic, timeout=ANSWER_SECONDS).topics[self._topic]
        if topic.error is not None:
            raise KafkaException(topic.error)
        return list(topic.partitions)

    def _find(self, client: Consumer, partitions: Iterable[int], moment: int) -> dict[int, int]:
        places = [TopicPartition(self._topic, partition, moment) for partition in partitions]
        return _read(client.offsets_for_times(places, timeout=ANSWER_SECONDS))

    def _unanswered(self, error: KafkaException) -> Retryable:
        return Retryable(f"the brokers do not say what {self._config['group.id']} has still to read: {error}")


def _read(places: list[TopicPartition]) -> dict[int, int]:
    """Take the offsets of those partitions that have one."""
    if failed := next((place.error for place in places if place.error is not None), None):
        raise KafkaException(failed)
    return {place.partition: place.offset for place in places if place.offset >= 0}
