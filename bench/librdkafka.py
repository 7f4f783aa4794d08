"""librdkafka as a client for producing: what ours is held against, and what may replace it one day."""

from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as Report

from sluice.core.messages import Message
from sluice.core.records import Origin
from sluice.edge.kafka_client import Delivery, Unstored

_PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)  # noqa: SLF001 - the names the library publishes


class LibrdkafkaClient:
    """One idempotent producer."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": 2,
                "message.max.bytes": 5_000_000,
                "reconnect.backoff.max.ms": 1000,
                "log.connection.close": False,
                "log_level": 0,
            }
        )

    def connect(self, topic: str, seconds: float) -> None:
        """Connect to a topic's brokers before its first message; raise ConnectionError when that fails."""
        try:
            self._producer.list_topics(topic, timeout=seconds)
        except KafkaException as error:
            raise ConnectionError(str(error)) from error

    def store(self, messages: Sequence[Message], seconds: float) -> list[Delivery]:
        """Produce messages and wait for their reports, at most for some seconds."""
        return [None if isinstance(place, Origin) else place for place in self.place(messages, seconds)]

    def place(self, messages: Sequence[Message], seconds: float) -> list[Origin | Unstored]:
        """Produce messages as `store` does, and return where each is stored."""
        places: list[Origin | Unstored] = [Unstored("no report within the deadline", answered=False)] * len(messages)
        for index, message in enumerate(messages):
            try:
                self._producer.produce(
                    message.topic,
                    key=message.key,
                    value=message.value,
                    headers=list(message.headers),
                    on_delivery=self._note(places, index),
                )
            except KafkaException as error:
                places[index] = Unstored(str(error))
        if self._producer.flush(seconds):
            self.close()
        return places

    def close(self) -> None:
        """Send nothing more, and serve what was purged."""
        self._producer.purge()
        self._producer.flush(0)

    @staticmethod
    def _note(places: list[Origin | Unstored], index: int) -> Callable[[KafkaError | None, Report], None]:
        def note(error: KafkaError | None, report: Report) -> None:
            if error is None:
                places[index] = Origin(str(report.topic()), report.partition() or 0, report.offset() or 0)
            else:
                places[index] = Unstored(error.str(), answered=error.code() not in _PURGED)

        return note
