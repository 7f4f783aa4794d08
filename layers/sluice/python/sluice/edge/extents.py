"""Asking the brokers what a topic's partitions hold."""

import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaException, TopicPartition

# Documented there, but not listed among the package's names. Its list_offsets may lose a question (edge.backlog): that
# costs a step or a run, and the next one asks again.
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from sluice.core.breaker import Breaker
from sluice.core.errors import Retryable
from sluice.core.offsets import Extent
from sluice.edge.broker import identify
from sluice.edge.settings import BrokerSettings

ANSWER_SECONDS = 3.0
LEAVE_ALONE_SECONDS = 10.0

_SPECS: Any = OffsetSpec


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
        self._client: AdminClient | None = None
        self._breaker = Breaker("the brokers", LEAVE_ALONE_SECONDS, clock)

    def ask(self) -> dict[int, Extent]:
        """Ask for all partitions at once; Retryable while the brokers do not answer."""
        with self._breaker.asking():
            try:
                self._client = self._client or self._make(self._config)
                return self._ask(self._client)
            except KafkaException as error:
                raise Retryable(f"the brokers do not say what {self._topic} holds: {error}") from error

    def _ask(self, client: AdminClient) -> dict[int, Extent]:
        topic = client.list_topics(self._topic, timeout=ANSWER_SECONDS).topics[self._topic]
        if topic.error is not None:
            raise KafkaException(topic.error)
        places = [TopicPartition(self._topic, partition) for partition in topic.partitions]
        asked = {
            spec: client.list_offsets(dict.fromkeys(places, spec), request_timeout=ANSWER_SECONDS)
            for spec in (_SPECS.earliest(), _SPECS.latest())
        }
        first, last = (
            {place.partition: future.result().offset for place, future in futures.items()} for futures in asked.values()
        )
        return {place.partition: Extent(first[place.partition], last[place.partition]) for place in places}
