"""Asking the brokers what a topic's partitions hold, and where in it consumers and moments are."""

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition

# Documented there, but not listed among the package's names.
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from sluice.core.errors import Retryable
from sluice.core.watermark import Extent
from sluice.edge.broker import identify
from sluice.edge.settings import BrokerSettings

ANSWER_SECONDS = 3.0
LEAVE_ALONE_SECONDS = 10.0

_SPECS: Any = OffsetSpec

Answer = TypeVar("Answer")


class Extents:
    """Where every partition of a topic begins and ends; brokers that did not say so are left alone for a moment."""

    def __init__(
        self,
        settings: BrokerSettings,
        topic: str,
        make_client: Callable[[dict[str, Any]], AdminClient] = AdminClient,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = {
            "bootstrap.servers": settings.kafka_bootstrap,
            "client.id": "sluice",
            "log.connection.close": False,
            **identify(settings),
        }
        self._topic = topic
        self._make = make_client
        self._clock = clock
        self._client: AdminClient | None = None
        self._away_until = 0.0

    def ask(self) -> dict[int, Extent]:
        """Ask for all partitions at once; Retryable while the brokers do not answer, here as below."""
        return self._answer(self._ask_extents)

    def ask_committed(self, group: str, partitions: Iterable[int]) -> dict[int, int]:
        """Ask where a consumer goes on; a partition of which it has read nothing is left out."""
        places = [TopicPartition(self._topic, partition) for partition in partitions]
        return self._answer(lambda client: self._ask_committed(client, ConsumerGroupTopicPartitions(group, places)))

    def ask_since(self, moment: datetime, partitions: Iterable[int]) -> dict[int, int]:
        """Ask for the first offset that was stored since a moment; a partition that has none is left out."""
        since = _SPECS.for_timestamp(int(moment.timestamp() * 1000))
        found = self._answer(lambda client: self._ask_offsets(client, partitions, since))
        return {partition: offset for partition, offset in found.items() if offset >= 0}

    def _answer(self, question: Callable[[AdminClient], Answer]) -> Answer:
        if self._clock() < self._away_until:
            raise Retryable("the brokers did not answer a moment ago")
        try:
            self._client = self._client or self._make(self._config)
            return question(self._client)
        except KafkaException as error:
            self._away_until = self._clock() + LEAVE_ALONE_SECONDS
            raise Retryable(f"the brokers do not say what {self._topic} holds: {error}") from error

    def _ask_extents(self, client: AdminClient) -> dict[int, Extent]:
        topic = client.list_topics(self._topic, timeout=ANSWER_SECONDS).topics[self._topic]
        if topic.error is not None:
            raise KafkaException(topic.error)
        first, last = (
            self._ask_offsets(client, topic.partitions, spec) for spec in (_SPECS.earliest(), _SPECS.latest())
        )
        return {partition: Extent(first[partition], last[partition]) for partition in topic.partitions}

    def _ask_offsets(self, client: AdminClient, partitions: Iterable[int], spec: Any) -> dict[int, int]:
        wanted = {TopicPartition(self._topic, partition): spec for partition in partitions}
        futures = client.list_offsets(wanted, request_timeout=ANSWER_SECONDS)
        return {place.partition: future.result().offset for place, future in futures.items()}

    def _ask_committed(self, client: AdminClient, wanted: ConsumerGroupTopicPartitions) -> dict[int, int]:
        futures = client.list_consumer_group_offsets([wanted], request_timeout=ANSWER_SECONDS)
        places = futures[wanted.group_id].result().topic_partitions
        if failed := next((place.error for place in places if place.error is not None), None):
            raise KafkaException(failed)
        return {place.partition: place.offset for place in places if place.offset >= 0}
