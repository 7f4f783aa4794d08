"""Producing to the brokers, with the truth about every single record.

A record counts as stored only by its own delivery report. What has no report when the deadline comes is purged, and its
fate is unknown: a purged record that was already on the wire may still be stored.
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
    """Why a record is not known to be stored."""

    reason: str


Delivery = Unstored | None  # None is the good case: acknowledged by the brokers


class Broker:
    """One idempotent producer, kept for the life of the process and built again after a fatal error.

    Brokers that let a whole deadline pass without a single good report are left alone for a moment, and then asked with
    little patience until they answer: callers who all waited out the deadline would use up the concurrency, and the
    rest would get the gateway's own 5xx.
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
        """Produce messages and wait for their reports, until the deadline at most."""
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
            # Serves the purged records' reports now, so that none is left to arrive in a later request.
            producer.flush(0)
        answered = in_time or None in deliveries
        self._breaker.note(answered=answered)
        if answered:
            self._slowness.add(took / self._deadline if in_time else 1, self._clock())
        return deliveries

    def slowness(self) -> float:
        """Say what part of the deadline producing takes lately; brokers that do not answer at all are left alone."""
        return self._slowness.at(self._clock())

    def _note(self, deliveries: list[Delivery], index: int) -> Callable[[KafkaError | None, Report], None]:
        def note(error: KafkaError | None, _report: Report) -> None:
            deliveries[index] = None if error is None else Unstored(error.str())
            if error is not None:
                self._give_up_if_fatal(error)

        return note

    def _give_up_if_fatal(self, error: KafkaError) -> None:
        # An idempotent producer that has lost its place answers nothing but errors from then on.
        if error.fatal():
            self._producer = None


def _configure(settings: BrokerSettings) -> dict[str, Any]:
    deadline_ms = int(settings.produce_deadline_seconds * 1000)
    config: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_bootstrap,
        "client.id": "sluice",
        "acks": "all",
        "enable.idempotence": True,
        # Java's partitioner, pinned: a device's events stay on their partition with any client library.
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        # The handler has all of a request's records at hand: to linger for more would gain nothing.
        "linger.ms": 2,
        # Later than our own deadline, so that it is always we who notice that no report came.
        "message.timeout.ms": deadline_ms + 1000,
        "request.timeout.ms": deadline_ms,
        "socket.keepalive.enable": True,
        # A broker whose connections keep breaking must be tried again within a deadline, and not after several.
        "reconnect.backoff.max.ms": 1000,
        "log.connection.close": False,
    }
    return config | identify(settings)


def identify(settings: BrokerSettings) -> dict[str, Any]:
    """Return how a client shows the brokers who it is."""
    if settings.kafka_auth == "none":
        return {}
    return {
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "OAUTHBEARER",
        "oauth_cb": lambda _: _sign_token(settings.aws_region),
    }


def _sign_token(region: str) -> tuple[str, float]:
    # Imported here: signing brings botocore, which a process on plain transport never needs.
    from aws_msk_iam_sasl_signer import MSKAuthTokenProvider

    token, expires_ms = MSKAuthTokenProvider.generate_auth_token(region)
    return token, expires_ms / 1000
