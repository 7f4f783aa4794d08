"""The gate for readers' requests: authentication, the rate per key, and answers or refusals."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.api.answers import Answer, answer_refusal
from sluice.core.api.keys import PublishedKey, Site
from sluice.core.api.quotas import BURST_SECONDS, Quota
from sluice.core.api.representations import represent
from sluice.core.api.requests import read_correlation_id, read_request
from sluice.core.errors import Refusal, Retryable
from sluice.core.metrics import REQUESTS_REFUSED
from sluice.edge.api.keystore import KeyStore, authenticate
from sluice.edge.api.quotas import Quotas
from sluice.edge.metrics import record_apart

logger = Logger()

UNKNOWN_FLEET = "unknown"


class ReaderRequest(msgspec.Struct, frozen=True):
    """A request authenticated by a reader's key."""

    key: PublishedKey
    path: Mapping[str, str]
    query: str
    now: datetime
    """When the request arrived."""
    correlation_id: str

    @property
    def fleet_id(self) -> str:
        """The route's fleet, if the key belongs to it."""
        if self.path["fleet"] != self.key.fleet_id:
            raise Refusal(403, "wrong_fleet", "This key reads another fleet.")
        return self.key.fleet_id


class Gate(msgspec.Struct, frozen=True):
    """Admits readers."""

    name: str
    """Each gate counts a key's requests separately."""
    site: Site
    requests_per_second: float
    keys: KeyStore
    quotas: Quotas

    def answer(
        self, event: Mapping[str, Any], look_up: Callable[[ReaderRequest], object], seconds: int, retry_after: int
    ) -> Answer:
        """Answer a reader with a document that may be cached for some seconds, or refuse the request."""
        try:
            asked = self._let_in(event)
        except Refusal as refusal:
            return refuse(event, UNKNOWN_FLEET, refusal, retry_after)
        return answer(event, asked.key.fleet_id, partial(look_up, asked), seconds, retry_after)

    def admit(self, asked: ReaderRequest) -> None:
        """Limit a key's request rate: one open page must not exclude other readers."""
        rate = self.requests_per_second
        if self.quotas.exceeded(f"{self.name}/{asked.key.key_id}", Quota(rate, rate), 1, asked.now):
            most = max(1, round(rate * BURST_SECONDS))
            raise Refusal(429, "quota_requests", f"This key may ask {most} times in {BURST_SECONDS} s.")

    def _let_in(self, event: Mapping[str, Any]) -> ReaderRequest:
        request = read_request(event)
        key = authenticate(request, self.keys, self.site, "reader")
        path, query = event.get("pathParameters", {}), event.get("rawQueryString", "")
        return ReaderRequest(key, path, query, request.received_at, request.correlation_id)


def answer(
    event: Mapping[str, Any], fleet_id: str, look_up: Callable[[], object], seconds: int, retry_after: int
) -> Answer:
    """Answer with the looked-up document, or refuse the request."""
    try:
        document = msgspec.json.encode(look_up())
    except Refusal as refusal:
        return refuse(event, fleet_id, refusal, retry_after)
    except Retryable as error:
        away = Refusal(503, "numbers_unavailable", "The numbers cannot be read right now; try again.")
        away.__cause__ = error
        return refuse(event, fleet_id, away, retry_after)
    return represent(document, event.get("headers", {}), read_correlation_id(event), seconds)


def refuse(event: Mapping[str, Any], fleet_id: str, refusal: Refusal, retry_after: int) -> Answer:
    """Refuse a request, and count that."""
    count_refusal(fleet_id, refusal)
    return answer_refusal(refusal, read_correlation_id(event), retry_after)


def count_refusal(fleet_id: str, refusal: Refusal) -> None:
    """Count a refused request by fleet and reason; log the cause if a service failed."""
    record_apart(REQUESTS_REFUSED, 1, fleet=fleet_id, reason=refusal.code)
    if isinstance(refusal.__cause__, Retryable):
        logger.warning("a request could not be answered", code=refusal.code, reason=str(refusal.__cause__))
