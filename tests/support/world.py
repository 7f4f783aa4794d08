"""Ingest with fake stores; everything else is real."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast
from unittest import mock

from functions.ingest.handler import CONTRACT_OF
from sluice.core.api.answers import Answer
from sluice.core.api.keys import PublishedKey, Site, compose_key, hash_key
from sluice.core.api.quotas import Quota
from sluice.core.errors import Retryable
from sluice.core.ingest.pressure import UnknownPressureError
from sluice.core.messages import Message
from sluice.core.metrics import Metric
from sluice.edge.ingest import accepting
from sluice.edge.ingest.accepting import Ingest
from sluice.edge.kafka_client import Delivery, Unstored
from sluice.edge.metrics import metrics
from tests.support import samples

if TYPE_CHECKING:
    from sluice.edge.api.keystore import KeyStore
    from sluice.edge.api.quotas import Quotas
    from sluice.edge.broker import Broker
    from sluice.edge.ingest.pressure import Pressure

KEY = compose_key("test", "K" * 16, "s" * 43)
STORED = PublishedKey("K" * 16, "demo", "device", hash_key(KEY), 100.0, 10.0)


@dataclass
class World:
    """The stores around ingest, and a log of the calls to them."""

    diary: list[Any] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    key: PublishedKey | None = STORED
    away: bool = False
    over: str | None = None
    counted: tuple[set[str], set[str]] = (set(), set())
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Requests that were counted by their fleet and the reason."""
    unstored_topics: set[str] = field(default_factory=set)
    strained: float = 0.0
    uninformed: bool = False
    slow: float = 0.0
    chances: list[float] = field(default_factory=list)
    """In place of the fake one."""

    def find(self, _key_id: str, _now: datetime) -> PublishedKey | None:
        if self.away:
            raise Retryable("the keys cannot be looked up")
        return self.key

    def exceeded(self, _fleet: str, _quota: Quota, events: int, _now: datetime) -> str | None:
        self.diary.append(("admit", events))
        return self.over

    def charge_rejects(self, _fleet: str, _quota: Quota, rejects: int, _now: datetime) -> None:
        self.diary.append(("charge", rejects))

    def store(self, messages: Sequence[Message]) -> list[Delivery]:
        self.diary.append(("store", [message.topic for message in messages]))
        self.messages = list(messages)
        return [Unstored("no report") if one.topic in self.unstored_topics else None for one in messages]

    def slowness(self) -> float:
        return self.slow

    def refresh(self, _now: datetime) -> None:
        if self.uninformed:
            raise UnknownPressureError("nothing is published")

    def share(self, _now: datetime) -> float:
        return self.strained

    def chance(self) -> float:
        return self.chances.pop(0)

    def ask(self, payload: dict[str, Any]) -> Answer:
        """Invoke ingest with a request as the gateway sends it."""
        ingest = Ingest(
            Site("test", "us-east-1"),
            CONTRACT_OF,
            samples.rules(),
            "dead-letter",
            cast("KeyStore", self),
            cast("Quotas", self),
            cast("Broker", self),
            cast("Pressure", self),
            self.chance,
        )
        try:
            with mock.patch.object(accepting, "record_apart", self._record_apart):
                return ingest.answer(payload, retry_after=3)
        finally:
            # What the decorator around the handler would have written and cleared.
            self.counted = (set(metrics.metric_set), set(metrics.dimension_set))
            metrics.clear_metrics()

    def _record_apart(self, metric: Metric, value: float, **dimensions: str) -> None:
        assert (metric.name, value) == ("RequestsRefused", 1)
        self.refused.append((dimensions["fleet"], dimensions["reason"]))

    def post(self, body: bytes | str, **headers: str) -> tuple[int, Any]:
        """Post a body and read the answer."""
        payload: dict[str, Any] = samples.read("lambda/post-mixed-batch.json")
        payload["headers"] |= {"x-api-key": KEY, **{name.replace("_", "-"): value for name, value in headers.items()}}
        raw = body if isinstance(body, bytes) else body.encode()
        payload |= {"body": base64.b64encode(raw).decode(), "isBase64Encoded": True}
        answer = self.ask(payload)
        return answer.status, json.loads(answer.body)

    def letters(self) -> list[dict[str, Any]]:
        """The dead letters among what was stored."""
        return [json.loads(one.value) for one in self.messages if one.topic == "dead-letter"]
