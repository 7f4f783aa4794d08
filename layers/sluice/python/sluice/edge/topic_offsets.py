"""Asking the brokers about offsets: the begin and end of a topic's partitions, and a group's committed offsets.

A client asks under the group's name. It never joins the group, reads a record or commits.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

# Not AdminClient: in librdkafka 2.16 its list_offsets loses one request in ten.
from confluent_kafka import Consumer, KafkaException, TopicPartition

from sluice.core.errors import Retryable
from sluice.core.offsets import Extent, find_unread
from sluice.edge.broker import identify
from sluice.edge.settings import BrokerSettings

ANSWER_SECONDS = 3.0

# In place of a time, the brokers read these as the begin and the end of a partition.
_BEGINNING, _END = -2, -1


def configure_reader(settings: BrokerSettings, group: str) -> dict[str, Any]:
    """Configure a client that reads without joining a group; it still needs a group name."""
    return {
        "bootstrap.servers": settings.kafka_bootstrap,
        "client.id": "sluice",
        "group.id": group,
        "enable.auto.commit": False,
        "log.connection.close": False,
        **identify(settings),
    }


class TopicOffsets:
    """The brokers' offsets of one topic; every query raises Retryable while they do not answer."""

    def __init__(
        self,
        settings: BrokerSettings,
        topic: str,
        group: str,
        make_client: Callable[[dict[str, Any]], Consumer] = Consumer,
    ) -> None:
        self._config = configure_reader(settings, group)
        self._topic = topic
        self._group = group
        self._make = make_client
        self._client: Consumer | None = None

    def ask_extents(self) -> dict[int, Extent]:
        """Ask where each partition begins and ends."""
        with self._asking() as client:
            topic = client.list_topics(self._topic, timeout=ANSWER_SECONDS).topics[self._topic]
            if topic.error is not None:
                raise KafkaException(topic.error)
            first, last = (self._find(client, topic.partitions, moment) for moment in (_BEGINNING, _END))
        return {partition: Extent(first[partition], last[partition]) for partition in topic.partitions}

    def ask_committed(self, partitions: Iterable[int]) -> dict[int, int]:
        """Ask for the group's committed offsets; partitions without one are left out."""
        places = [TopicPartition(self._topic, partition) for partition in partitions]
        with self._asking() as client:
            return _read(client.committed(places, timeout=ANSWER_SECONDS))

    def ask_unread(self) -> dict[int, int]:
        """Ask for the group's first unread offsets; partitions that it has read to the end are left out."""
        extents = self.ask_extents()
        return find_unread(extents, self.ask_committed(extents))

    def ask_since(self, moment: datetime, partitions: Iterable[int]) -> dict[int, int]:
        """Ask for the first offsets stored since a moment; partitions without one are left out."""
        with self._asking() as client:
            return self._find(client, partitions, int(moment.timestamp() * 1000))

    def _find(self, client: Consumer, partitions: Iterable[int], moment: int) -> dict[int, int]:
        places = [TopicPartition(self._topic, partition, moment) for partition in partitions]
        return _read(client.offsets_for_times(places, timeout=ANSWER_SECONDS))

    @contextmanager
    def _asking(self) -> Iterator[Consumer]:
        try:
            self._client = self._client or self._make(self._config)
            yield self._client
        except KafkaException as error:
            raise Retryable(f"the brokers do not say what {self._group} reads of {self._topic}: {error}") from error


def _read(places: list[TopicPartition]) -> dict[int, int]:
    """Take the offsets of the partitions that have one."""
    if failed := next((place.error for place in places if place.error is not None), None):
        raise KafkaException(failed)
    return {place.partition: place.offset for place in places if place.offset >= 0}
