"""Asking the brokers how far a consumer group has come."""

from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from sluice.core.errors import Retryable
from sluice.edge.broker import identify
from sluice.edge.extents import ANSWER_SECONDS
from sluice.edge.settings import BrokerSettings


class Progress:
    """The committed offsets of groups on one topic."""

    def __init__(
        self,
        settings: BrokerSettings,
        topic: str,
        make_client: Callable[[dict[str, Any]], AdminClient] = AdminClient,
    ) -> None:
        config = {"bootstrap.servers": settings.kafka_bootstrap, "client.id": "sluice", **identify(settings)}
        self._client = make_client({**config, "log.connection.close": False})
        self._topic = topic

    def ask(self, group: str, partitions: Iterable[int]) -> dict[int, int]:
        """Ask for every partition: the offset behind the last record that the group has dealt with."""
        wanted = [TopicPartition(self._topic, partition) for partition in sorted(partitions)]
        request = [ConsumerGroupTopicPartitions(group, wanted)]
        try:
            answers = self._client.list_consumer_group_offsets(request, request_timeout=ANSWER_SECONDS)
            places = answers[group].result().topic_partitions
        except KafkaException as error:
            raise Retryable(f"the brokers do not say how far {group} is: {error}") from error
        for place in places:
            if place.error is not None:
                raise Retryable(f"the brokers do not say how far {group} is: {place.error}")
        # Nothing committed is told by a negative number.
        return {place.partition: max(place.offset, 0) for place in places}
