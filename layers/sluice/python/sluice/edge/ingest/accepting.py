"""A request's way through ingest, from its key to a real status for each of its events."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.api.answers import ACCEPTED, REJECTED, RETRY, Answer, Result, answer_refusal, answer_results
from sluice.core.api.keys import Site
from sluice.core.api.quotas import Quota
from sluice.core.api.requests import read_body, read_correlation_id, read_request
from sluice.core.errors import Refusal, Rejection, Retryable, Unparsable
from sluice.core.failures.letters import UnverifiedFields
from sluice.core.ingest.judge import Letterhead, Rejected, Rules, address, judge, names_another_region, settle
from sluice.core.ingest.pressure import UnknownPressureError, advise, share_for_slowness
from sluice.core.ingest.slices import split_body
from sluice.core.metrics import (
    EVENTS_ACCEPTED,
    EVENTS_REJECTED,
    EVENTS_TO_RETRY,
    PRESSURE_UNKNOWN,
    REFUSED_FOR_PRESSURE,
    REQUESTS_REFUSED,
)
from sluice.edge.api.keystore import KeyStore, authenticate
from sluice.edge.api.quotas import Quotas
from sluice.edge.broker import Broker
from sluice.edge.ingest.pressure import Pressure
from sluice.edge.metrics import record, record_apart

logger = Logger()

UNKNOWN_FLEET = "unknown"
OURS = ("keys_unavailable", "not_stored")  # refusals that do not concern the caller


class Ingest(msgspec.Struct, frozen=True):
    """Processes requests, or refuses them."""

    site: Site
    contract_of: dict[str, str]
    """By route."""
    rules: Rules
    dead_letter_topic: str
    keys: KeyStore
    quotas: Quotas
    broker: Broker
    pressure: Pressure
    chance: Callable[[], float]

    def connect(self, now: datetime) -> None:
        """Connect to the brokers and read the keys before the first request."""
        self.broker.connect(self.rules.topic)
        try:
            self.keys.load(now)
        except Retryable as error:
            # The first request asks again.
            logger.warning("the keys cannot be read yet", reason=str(error))

    def answer(self, event: dict[str, Any], retry_after: int) -> Answer:
        """Authenticate, refuse under pressure, split, admit by quota, judge, store, and answer for each event."""
        fleet_id = UNKNOWN_FLEET
        try:
            request = read_request(event)
            key = authenticate(request, self.keys, self.site, "device")
            fleet_id = key.fleet_id
            self._refuse_under_pressure(request.received_at)
            fleet = _Fleet(
                fleet_id, Quota(key.events_per_second, key.rejects_per_second), self.quotas, request.received_at
            )
            letterhead = Letterhead(self.dead_letter_topic, fleet_id, self.contract_of[request.route], request)
            slices = self._split(event, fleet, letterhead, key.home_region)
            fleet.admit(len(slices))
            verdicts = [
                judge(slice_, letterhead.contract, fleet_id, request, self.rules, key.home_region) for slice_ in slices
            ]
            fleet.charge(sum(isinstance(verdict, Rejected) for verdict in verdicts))
            failures = self.broker.store([address(verdict, letterhead) for verdict in verdicts])
            results = [
                settle(index, verdict, failure.reason if failure else None)
                for index, (verdict, failure) in enumerate(zip(verdicts, failures, strict=True))
            ]
            _count(results)
            return answer_results(results, request.correlation_id, retry_after)
        except Refusal as refusal:
            if isinstance(refusal.__cause__, Retryable):
                logger.warning("a request could not be admitted", code=refusal.code, reason=str(refusal.__cause__))
            _count_refusal(fleet_id, refusal.code)
            return answer_refusal(refusal, read_correlation_id(event), retry_after)

    def _refuse_under_pressure(self, now: datetime) -> None:
        """Refuse some or all requests before they are read, counted or stored; all fleets alike."""
        try:
            self.pressure.refresh(now)
        except UnknownPressureError as error:
            # Unknown pressure is not a reason to refuse.
            logger.warning("the pressure is not known", reason=str(error))
            record(PRESSURE_UNKNOWN, 1)
        share = max(self.pressure.share(now), share_for_slowness(self.broker.slowness()))
        if share and (advice := advise(share, self.chance)):
            raise Refusal(
                429,
                "pressure",
                "Too many events arrive to process them all. Send fewer, as `advice` says.",
                advice=advice,
            )

    def _split(self, event: dict[str, Any], fleet: "_Fleet", letterhead: Letterhead, home: str | None) -> list[bytes]:
        """Split a body into its events. One that cannot be split becomes one dead letter, stored before the refusal."""
        try:
            return split_body(read_body(event, self.rules.limits), self.rules.limits.max_events)
        except Unparsable as refusal:
            fleet.admit(1)
            fleet.charge(1)
            elsewhere = names_another_region(letterhead.contract, refusal.body, home)
            rejected = Rejected(refusal.body, Rejection(refusal.code, refusal.detail), UnverifiedFields(), elsewhere)
            (failure,) = self.broker.store([address(rejected, letterhead)])
            if failure is not None:
                detail = "The body cannot be read as events, and its dead letter could not be stored; try again."
                raise Refusal(429, "not_stored", detail) from refusal
            raise


class _Fleet(msgspec.Struct, frozen=True):
    """A fleet's quota, so that it cannot use up the capacity or the budget of other fleets."""

    fleet_id: str
    quota: Quota
    quotas: Quotas
    now: datetime

    def admit(self, events: int) -> None:
        """Admit some events, or refuse their request."""
        match self.quotas.exceeded(self.fleet_id, self.quota, events, self.now):
            case "events":
                raise Refusal(429, "quota_events", f"This fleet may send {self.quota.events:g} events a second.")
            case "rejects":
                raise Refusal(
                    429,
                    "quota_rejects",
                    f"More than {self.quota.rejects:g} events a second of this fleet are rejected.",
                )

    def charge(self, rejects: int) -> None:
        """Charge rejected events: each is stored as a dead letter."""
        if rejects:
            self.quotas.charge_rejects(self.fleet_id, self.quota, rejects, self.now)


def _count_refusal(fleet_id: str, code: str) -> None:
    """Count a refused request by fleet and reason, unless the reason does not concern the caller."""
    if code in OURS:
        # On the invocation's line, like other requests' events: the alarm on unstored events divides by them.
        record(EVENTS_TO_RETRY, 1)
        return
    if code == "pressure":
        # Again without the fleet: an alarm finds a metric only under all of its dimensions.
        record(REFUSED_FOR_PRESSURE, 1)
    record_apart(REQUESTS_REFUSED, 1, fleet=fleet_id, reason=code)


def _count(results: list[Result]) -> None:
    """Count the events by outcome."""
    statuses = [result.status for result in results]
    for status, metric in ((ACCEPTED, EVENTS_ACCEPTED), (REJECTED, EVENTS_REJECTED), (RETRY, EVENTS_TO_RETRY)):
        # A line is paid for by its length, and most requests have one outcome.
        if times := statuses.count(status):
            record(metric, times)
