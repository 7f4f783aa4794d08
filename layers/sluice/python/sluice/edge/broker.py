"""Producing to the brokers, with an outcome for every record.

A record counts as stored only after its own delivery report. A record without a report at the deadline is purged, and
its outcome is unknown: if it was already on the wire, it may still be stored.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as Report

from sluice.core.breaker import Breaker
from sluice.core.messages import Message
from sluice.core.slowness import Slowness
from sluice.edge.settings import BrokerSettings

LEAVE_ALONE_SECONDS = 2.0
PROBE_SECONDS = 1.0


class Unstored(msgspec.Struct, frozen=True):
    """The reason why a record is not known to be stored."""

    reason: str


Delivery = Unstored | None  # None means that the brokers acknowledged it


class Broker:
    """One idempotent producer, kept for the life of the process and rebuilt after a fatal error.

    If a whole deadline passes without a successful report, the producer rests for a moment and then uses a shorter
    deadline until the brokers answer. Otherwise callers that wait out the deadline would use up the concurrency, and
    the others would get the gateway's own 5xx.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        make_producer: Callable[[dict[str, Any]], Producer] = Producer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = _configure(settings)
        self._deadline = settings.produce_deadline_seconds
        self._make = make_producer
        self._clock = clock
        self._producer: Producer | None = None
        self._breaker = Breaker("the brokers", LEAVE_ALONE_SECONDS, clock)
        self._slowness = Slowness()

    def store(self, messages: Sequence[Message]) -> list[Delivery]:
        """Produce messages and wait for their reports, at most until the deadline."""
        if not self._breaker.lets():
            return [Unstored("the brokers did not answer a moment ago")] * len(messages)
        producer = self._producer = self._producer or self._make(self._config)
        deliveries: list[Delivery] = [Unstored("no report within the deadline")] * len(messages)
        for index, message in enumerate(messages):
            try:
                producer.produce(
                    message.topic,
                    key=message.key,
                    value=message.value,
                    headers=list(message.headers),
                    on_delivery=self._note(deliveries, index),
                )
            except BufferError:
                deliveries[index] = Unstored("the producer's queue is full")
            except KafkaException as error:
                deliveries[index] = Unstored(str(error))
                self._give_up_if_fatal(error.args[0])
        began = self._clock()
        in_time = producer.flush(self._deadline if self._breaker.closed else PROBE_SECONDS) == 0
        took = self._clock() - began
        if not in_time:
            producer.purge()
            # Serves the purged records' reports now, so that none arrives in a later request.
            producer.flush(0)
        answered = in_time or None in deliveries
        self._breaker.note(answered=answered)
        if answered:
            self._slowness.add(took / self._deadline if in_time else 1, self._clock())
        return deliveries

    def slowness(self) -> float:
        """Return the part of the deadline that producing took recently; an outage is the breaker's concern."""
        return self._slowness.at(self._clock())

    def _note(self, deliveries: list[Delivery], index: int) -> Callable[[KafkaError | None, Report], None]:
        def note(error: KafkaError | None, _report: Report) -> None:
            deliveries[index] = None if error is None else Unstored(error.str())
            if error is not None:
                self._give_up_if_fatal(error)

        return note

    def _give_up_if_fatal(self, error: KafkaError) -> None:
        # After a fatal error, an idempotent producer returns only errors.
        if error.fatal():
            self._producer = None


def _configure(settings: BrokerSettings) -> dict[str, Any]:
    deadline_ms = int(settings.produce_deadline_seconds * 1000)
    config: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_bootstrap,
        "client.id": "sluice",
        "acks": "all",
        "enable.idempotence": True,
        # Java's partitioner, pinned: a device's events stay on one partition with any client library.
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        # The handler produces all records of a request at once: a longer linger would gain nothing.
        "linger.ms": 2,
        # Later than our own deadline, so that ours always expires first.
        "message.timeout.ms": deadline_ms + 1000,
        "request.timeout.ms": deadline_ms,
        "socket.keepalive.enable": True,
        # After broken connections, a broker must be retried within one deadline.
        "reconnect.backoff.max.ms": 1000,
        "log.connection.close": False,
    }
    return config | identify(settings)


def identify(settings: BrokerSettings) -> dict[str, Any]:
    """Return a client's authentication settings."""
    if settings.kafka_auth == "none":
        return {}
    return {
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "OAUTHBEARER",
        "oauth_cb": lambda _: _sign_token(settings.aws_region),
    }


def _sign_token(region: str) -> tuple[str, float]:
    # Imported here: signing loads botocore, which plain transport does not need.
    from aws_msk_iam_sasl_signer import MSKAuthTokenProvider

    token, expires_ms = MSKAuthTokenProvider.generate_auth_token(region)
    return token, expires_ms / 1000
