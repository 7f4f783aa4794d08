"""Ingest: a device's request becomes Kafka records, and every event in it gets an honest answer.

authenticate -> refuse under pressure -> split into byte-exact slices -> admit by quota -> judge each by its contract
-> store -> one status each
"""

import os
import secrets
from collections.abc import Callable
from datetime import timedelta
from functools import cache, partial
from typing import Any

import msgspec
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from sluice.core.api.answers import ACCEPTED, REJECTED, RETRY, Answer, Result, answer_refusal, answer_results
from sluice.core.api.keys import StoredKey
from sluice.core.api.quotas import Quota
from sluice.core.api.requests import Request, correlate, read_body, read_request
from sluice.core.errors import Refusal, Rejection, Retryable, Unparsable
from sluice.core.events.contracts import ACTIVITY, READING, TELEMETRY
from sluice.core.failures.letters import Claims
from sluice.core.ingest.judge import Rejected, Rules, judge
from sluice.core.ingest.pressure import UnknownPressureError, advise, share_for_slowness
from sluice.core.ingest.settle import Letterhead, address, settle
from sluice.core.ingest.slices import split_body
from sluice.core.limits import Limits
from sluice.edge import cache as valkey
from sluice.edge import database
from sluice.edge.api.authenticate import authenticate
from sluice.edge.api.keystore import KeyStore
from sluice.edge.api.quotas import Quotas
from sluice.edge.broker import Broker
from sluice.edge.events.schemas import load_contracts
from sluice.edge.ingest.pressure import Pressure, Snapshots
from sluice.edge.settings import BrokerSettings, CacheSettings, DatabaseSettings, IngestSettings

logger = Logger()
metrics = Metrics()

CONTRACT_OF = {"POST /v1/events": TELEMETRY, "POST /v1/readings": READING, "POST /v1/activity": ACTIVITY}
LIMITS = Limits()
OURS = ("keys_unavailable", "not_stored")  # refusals that say nothing about the caller


class Parts(msgspec.Struct, frozen=True):
    """What a warm function holds."""

    settings: IngestSettings
    rules: Rules
    keys: KeyStore
    quotas: Quotas
    broker: Broker
    pressure: Pressure
    chance: Callable[[], float]


@cache
def build() -> Parts:
    """Put the function together, once per cold start."""
    settings = IngestSettings.from_environ(os.environ)
    shared = valkey.Cache(partial(valkey.connect, CacheSettings.from_environ(os.environ)))
    keys = KeyStore(
        database.Database(
            partial(database.connect, DatabaseSettings.from_environ(os.environ)), database.ANSWER_SECONDS
        ),
        shared,
        memory=timedelta(seconds=settings.key_memory_seconds),
        shared=timedelta(seconds=settings.key_cache_seconds),
    )
    return Parts(
        settings,
        Rules(load_contracts(), LIMITS, settings.raw_events_topic),
        keys,
        Quotas(shared, settings.ingest_concurrency),
        Broker(BrokerSettings.from_environ(os.environ)),
        Pressure(Snapshots(shared)),
        secrets.SystemRandom().random,
    )


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request."""
    return ingest(event, build(), retry_after=1 + secrets.randbelow(5)).for_gateway()


def ingest(event: dict[str, Any], parts: Parts, retry_after: int) -> Answer:
    """Take a request all the way, or refuse it."""
    fleet_id = "unknown"
    try:
        request = read_request(event)
        key = authenticate(request, parts.keys, parts.settings.sluice_stage, "device")
        fleet_id = key.fleet_id
        refuse_under_pressure(request, parts)
        return accept(event, request, key, parts, retry_after)
    except Refusal as refusal:
        if isinstance(refusal.__cause__, Retryable):
            logger.warning("a request could not be admitted", code=refusal.code, reason=str(refusal.__cause__))
        count_refusal(fleet_id, refusal.code)
        return answer_refusal(refusal, correlate(event), retry_after)


def refuse_under_pressure(request: Request, parts: Parts) -> None:
    """Refuse some requests, or all, before anything of them is read, counted or stored; every fleet's alike."""
    try:
        parts.pressure.refresh(request.received_at)
    except UnknownPressureError as error:
        # Not to know is no reason to refuse.
        logger.warning("the pressure is not known", reason=str(error))
        metrics.add_metric("PressureUnknown", MetricUnit.Count, 1)
    share = max(parts.pressure.share(request.received_at), share_for_slowness(parts.broker.slowness()))
    if share and (advice := advise(share, parts.chance)):
        raise Refusal(
            429, "pressure", "More has been sent than can be dealt with; send less, as `advice` says.", advice=advice
        )


def accept(event: dict[str, Any], request: Request, key: StoredKey, parts: Parts, retry_after: int) -> Answer:
    """Judge and store the events of a known fleet."""
    quota = Quota(key.events_per_second, key.rejects_per_second)
    contract = CONTRACT_OF[request.route]
    letterhead = Letterhead(parts.settings.dead_letter_topic, key.fleet_id, contract, LIMITS.max_letter)
    try:
        slices = split_body(read_body(event, LIMITS), LIMITS.max_events)
    except Unparsable as refusal:
        admit(key.fleet_id, quota, 1, request, parts)
        bury(refusal, quota, request, letterhead, parts)
        raise
    admit(key.fleet_id, quota, len(slices), request, parts)
    verdicts = [judge(slice_, contract, key.fleet_id, request, parts.rules) for slice_ in slices]
    if rejects := sum(isinstance(verdict, Rejected) for verdict in verdicts):
        parts.quotas.charge_rejects(key.fleet_id, quota, rejects, request.received_at)
    fates = parts.broker.store([address(verdict, request, letterhead) for verdict in verdicts])
    results = [
        settle(index, verdict, fate.reason if fate else None)
        for index, (verdict, fate) in enumerate(zip(verdicts, fates, strict=True))
    ]
    count(results)
    return answer_results(results, request.correlation_id, retry_after)


def admit(fleet_id: str, quota: Quota, events: int, request: Request, parts: Parts) -> None:
    """Let a fleet have its share and no more, so that it can neither starve nor bankrupt the others."""
    match parts.quotas.exceeded(fleet_id, quota, events, request.received_at):
        case "events":
            raise Refusal(429, "quota_events", f"This fleet may send {quota.events:g} events a second.")
        case "rejects":
            raise Refusal(
                429, "quota_rejects", f"More than {quota.rejects:g} events a second of this fleet are rejected."
            )


def bury(refusal: Unparsable, quota: Quota, request: Request, letterhead: Letterhead, parts: Parts) -> None:
    """Store a body that is no events as one dead letter; the refusal stands only once that is done."""
    parts.quotas.charge_rejects(letterhead.fleet_id, quota, 1, request.received_at)
    rejected = Rejected(refusal.body, Rejection(refusal.code, refusal.detail), Claims())
    (fate,) = parts.broker.store([address(rejected, request, letterhead)])
    if fate is not None:
        raise Refusal(429, "not_stored", "The body is no events, and not even that could be written down; try again.")


def count_refusal(fleet_id: str, code: str) -> None:
    """Count a refused request: by itself where that is our doing, and else by who sent it and why."""
    if code in OURS:
        # Under the same dimensions as the events of other requests: the alarm on what is not stored divides by them.
        metrics.add_metric("EventsToRetry", MetricUnit.Count, 1)
        return
    if code == "pressure":
        metrics.add_metric("RefusedForPressure", MetricUnit.Count, 1)
        return
    metrics.add_dimension("fleet", fleet_id)
    metrics.add_dimension("reason", code)
    metrics.add_metric("RequestsRefused", MetricUnit.Count, 1)


def count(results: list[Result]) -> None:
    """Count what became of the events; one metrics line per invocation carries it."""
    statuses = [result.status for result in results]
    for status, name in ((ACCEPTED, "EventsAccepted"), (REJECTED, "EventsRejected"), (RETRY, "EventsToRetry")):
        metrics.add_metric(name, MetricUnit.Count, statuses.count(status))
