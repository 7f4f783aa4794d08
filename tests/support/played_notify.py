"""What notify talks to, played: queues, destinations, secrets and servers, each of which can be taken away."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import msgspec

from sluice.core.alerts.messages import AlertMessage
from sluice.core.errors import Retryable
from sluice.core.notify.addresses import Place
from sluice.core.notify.deliveries import Delivery
from sluice.core.notify.destinations import Destination
from sluice.core.notify.outcomes import Answer
from sluice.core.notify.queue_records import Attributes, QueueRecord
from sluice.core.notify.requests import Request
from sluice.edge.notify.attempting import Attempting
from sluice.edge.notify.destination_tester import DestinationTester
from sluice.edge.notify.notifying import Notifying
from sluice.edge.notify.secrets import Secrets
from sluice.edge.notify.told import Told
from sluice.edge.published import Believed
from tests.support.alert_messages import OPENED_AT
from tests.support.played_bucket import PlayedBucket

if TYPE_CHECKING:
    from sluice.edge.bucket import Bucket
    from sluice.edge.notify.posting import Poster
    from sluice.edge.notify.queues import Queue
    from sluice.edge.published import Published

MESSAGES, DELIVERIES, LETTERS, ATTEMPTS = "messages.fifo", "deliveries.fifo", "letters.fifo", "attempts"


class PlayedQueue:
    """A queue that keeps what it is sent, once for each deduplication id."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sent: list[str] = []
        self.groups: list[str] = []
        self.attributes: list[Mapping[str, str]] = []
        self.paused: list[tuple[str, int]] = []
        self.away = False
        self._ids: set[str] = set()

    def send(self, body: str) -> None:
        self._answer()
        self.sent.append(body)

    def send_in_order(
        self, body: str, group: str, deduplication_id: str, attributes: Mapping[str, str] | None = None
    ) -> None:
        self._answer()
        if deduplication_id not in self._ids:
            self._ids.add(deduplication_id)
            self.sent.append(body)
            self.groups.append(group)
            self.attributes.append(attributes or {})

    def pause(self, receipt: str, seconds: int) -> None:
        self._answer()
        self.paused.append((receipt, seconds))

    def _answer(self) -> None:
        if self.away:
            raise Retryable("SQS does not answer")


class PlayedDestinations:
    """Published destinations."""

    def __init__(self, listed: Sequence[Destination]) -> None:
        self.listed = tuple(listed)
        self.newer: tuple[Destination, ...] | None = None
        """What a second look finds."""
        self.away = False

    def find(self, _now: datetime) -> Believed[tuple[Destination, ...]]:
        if self.away:
            raise Retryable("no destinations are published")
        return Believed(self.listed)

    def find_missing(self, now: datetime) -> Believed[tuple[Destination, ...]]:
        if self.newer is not None:
            self.listed = self.newer
        return Believed(self.find(now).content, just_confirmed=True)


class PlayedSecretsManager:
    """Secrets by their names, as the SDK's client returns them."""

    def __init__(self, held: dict[str, str]) -> None:
        self.held = held
        self.asked: list[str] = []
        self.error = ""

    def get_secret_value(self, *, SecretId: str) -> dict[str, Any]:  # noqa: N803
        from botocore.exceptions import ClientError

        self.asked.append(SecretId)
        if self.error or SecretId not in self.held:
            code = self.error or "ResourceNotFoundException"
            raise ClientError({"Error": {"Code": code, "Message": code}}, "GetSecretValue")
        return {"SecretString": self.held[SecretId]}


class PlayedPoster:
    """Servers by their hosts: each answers what it is told to, or raises it."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer | Exception]] = {}
        self.posted: list[tuple[str, Request]] = []

    def post(self, place: Place, request: Request) -> Answer:
        self.posted.append((place.host, request))
        given = self.answers.get(place.host, [])
        answer = given.pop(0) if given else Answer(200, "ok")
        if isinstance(answer, Exception):
            raise answer
        return answer


class PlayedNotify:
    """All of them, and a notify that works with them."""

    def __init__(self, *destinations: Destination) -> None:
        self.destinations = PlayedDestinations(destinations)
        self.manager = PlayedSecretsManager({each.secret: json.dumps(_secret_of(each)) for each in destinations})
        self.poster = PlayedPoster()
        self.bucket = PlayedBucket()
        self.messages, self.deliveries = PlayedQueue(MESSAGES), PlayedQueue(DELIVERIES)
        self.letters, self.attempts = PlayedQueue(LETTERS), PlayedQueue(ATTEMPTS)
        self.clock = 0.0
        self.secrets = Secrets(self.manager, lambda: self.clock)
        self.notifying = Notifying(
            destinations=cast("Published[Destination, tuple[Destination, ...]]", self.destinations),
            attempting=Attempting(self.secrets, cast("Poster", self.poster)),
            told=Told(cast("Bucket", self.bucket)),
            messages=cast("Queue", self.messages),
            deliveries=cast("Queue", self.deliveries),
            letters=cast("Queue", self.letters),
            attempts=cast("Queue", self.attempts),
            clock=lambda: self.clock,
        )

    @property
    def tester(self) -> DestinationTester:
        """What tests destinations for admins."""
        return DestinationTester(self.notifying.destinations, self.notifying.attempting, lambda: self.clock)

    def route(self, message: AlertMessage, receives: int = 1) -> bool:
        """Handle a message about an incident."""
        return self.notifying.handle(queued(message, MESSAGES, receives), message.at)

    def deliver(self, message: AlertMessage, destination_id: str = "ops", receives: int = 1) -> bool:
        """Handle a delivery."""
        delivery = Delivery(destination_id=destination_id, routed_at=OPENED_AT, message=message)
        return self.notifying.handle(queued(delivery, DELIVERIES, receives), message.at)

    @property
    def reports(self) -> list[dict[str, Any]]:
        """What notify reported of its attempts."""
        return [json.loads(each) for each in self.attempts.sent]

    @property
    def outcomes(self) -> list[str]:
        """The outcomes that notify reported."""
        return [each["outcome"] for each in self.reports]


def queued(body: object, queue: str, receives: int = 1) -> QueueRecord:
    """Write a queue's record."""
    text = body if isinstance(body, str) else msgspec.json.encode(body).decode()
    return QueueRecord(
        message_id=f"m-{hash(text)}",
        receipt="r-1",
        body=text,
        source=f"arn:aws:sqs:us-east-1:000000000000:{queue}",
        attributes=Attributes(receives),
    )


def _secret_of(destination: Destination) -> dict[str, str]:
    url = f"https://{destination.destination_id}.example/hook-of-{destination.destination_id}"
    match destination.kind:
        case "slack":
            return {"url": url}
        case "pagerduty":
            return {"url": url, "routing_key": "r" * 32}
        case "https":
            return {"url": url, "signing_key": "0123456789abcdef"}
