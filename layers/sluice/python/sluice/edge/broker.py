"""Producing to the brokers, with an outcome for every record.

A record counts as stored only after its own delivery report. A record without a report at the deadline has an unknown
outcome: if it was already on the wire, it may still be stored. Nothing of it is sent later.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from aws_lambda_powertools import Logger

from sluice.core.breaker import Breaker
from sluice.core.messages import Message
from sluice.core.records import Origin
from sluice.core.slowness import Slowness
from sluice.edge.kafka_client import Delivery, KafkaClient, Unstored
from sluice.edge.settings import BrokerSettings

logger = Logger()

LEAVE_ALONE_SECONDS = 2.0
TRIAL_SECONDS = 2.5
"""Enough for a new client to connect while one broker hangs."""
CONNECT_SECONDS = 3.0


Report = TypeVar("Report", Delivery, Origin | Unstored)
"""What is known of one message: whether it is stored, or where."""


class Client(Protocol):
    """A producer for one caller at a time."""

    def connect(self, topic: str, seconds: float) -> None:
        """Connect to a topic's brokers before its first message; raise ConnectionError when that fails."""

    def store(self, messages: Sequence[Message], seconds: float) -> list[Delivery]:
        """Send messages and wait for what became of each, at most for some seconds."""

    def place(self, messages: Sequence[Message], seconds: float) -> list[Origin | Unstored]:
        """Send messages as `store` does, and return where each is stored."""

    def close(self) -> None:
        """End at once; what was not sent is not sent any more."""


class Broker:
    """One client, kept for the life of the process, and replaced after any record that it did not store.

    If a whole deadline passes without a successful report, the client rests for a moment and then uses a shorter
    deadline until the brokers answer. Otherwise callers that wait out the deadline would use up the concurrency, and
    the others would get the gateway's own 5xx.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        make_client: Callable[[BrokerSettings], Client] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._deadline = settings.produce_deadline_seconds
        self._make = make_client or connect
        self._clock = clock
        self._client: Client | None = None
        self._breaker = Breaker("the brokers", LEAVE_ALONE_SECONDS, clock)
        self._slowness = Slowness()

    def connect(self, topic: str) -> None:
        """Connect before the first message; the first message connects if that fails."""
        client = self._client = self._make(self._settings)
        try:
            client.connect(topic, CONNECT_SECONDS)
        except ConnectionError as error:
            logger.warning("the brokers could not be reached ahead of the first request", reason=str(error))
            self._discard(client)

    def store(self, messages: Sequence[Message]) -> list[Delivery]:
        """Produce messages and wait for their reports, at most until the deadline."""
        return self._produce(messages, lambda client, seconds: client.store(messages, seconds))

    def place(self, messages: Sequence[Message]) -> list[Origin | Unstored]:
        """Produce messages as `store` does, and return where each is stored."""
        return self._produce(messages, lambda client, seconds: client.place(messages, seconds))

    def _produce(self, messages: Sequence[Message], send: Callable[[Client, float], list[Report]]) -> list[Report]:
        if not self._breaker.lets():
            return [Unstored("the brokers did not answer a moment ago", answered=False)] * len(messages)
        client = self._client = self._client or self._make(self._settings)
        began = self._clock()
        try:
            deliveries = send(client, self._deadline if self._breaker.closed else TRIAL_SECONDS)
        except Exception:
            # The next call must not send what this one left.
            self._discard(client)
            raise
        took = self._clock() - began
        unstored = [delivery for delivery in deliveries if isinstance(delivery, Unstored)]
        if unstored:
            # After a batch that failed, the brokers refuse the producer's next ones: its numbers have a gap.
            self._discard(client)
        in_time = all(one.answered for one in unstored)
        answered = in_time or len(unstored) < len(deliveries)
        self._breaker.note(answered=answered)
        if answered:
            self._slowness.add(took / self._deadline if in_time else 1, self._clock())
        return deliveries

    def _discard(self, client: Client) -> None:
        self._client = None
        client.close()

    def slowness(self) -> float:
        """Return the part of the deadline that producing took recently; an outage is the breaker's concern."""
        return self._slowness.at(self._clock())


def connect(settings: BrokerSettings) -> KafkaClient:
    """Make a client with the function's own access."""
    if settings.kafka_auth == "none":
        return KafkaClient(settings.kafka_bootstrap)
    return KafkaClient(settings.kafka_bootstrap, lambda: _sign_token(settings.aws_region)[0])


def identify(settings: BrokerSettings) -> dict[str, Any]:
    """Return the authentication settings of a client that reads."""
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
