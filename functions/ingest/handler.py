"""Ingest: a device's request becomes Kafka records, and every event in it an honest answer.

authenticate -> split into byte-exact slices -> judge each by its contract -> store -> one status per event
"""

import os
import secrets
from collections.abc import Iterator
from datetime import timedelta
from functools import cache, partial
from typing import Any

import msgspec
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from sluice.core.answers import ACCEPTED, REJECTED, RETRY, Answer, Result, answer_refusal, answer_results, reject
from sluice.core.contracts import ACTIVITY, READING, TELEMETRY, Contracts
from sluice.core.errors import Refusal, Retryable
from sluice.core.judge import Limits, Verdict, judge
from sluice.core.keys import open_with, parse_key
from sluice.core.requests import Request, correlate, read_request
from sluice.core.slices import split_body
from sluice.edge import cache as valkey
from sluice.edge import database
from sluice.edge.broker import Broker, Delivery
from sluice.edge.keystore import KeyStore
from sluice.edge.schemas import load_contracts
from sluice.edge.settings import BrokerSettings, CacheSettings, DatabaseSettings, IngestSettings

logger = Logger()
metrics = Metrics()

CONTRACT_OF = {"POST /v1/events": TELEMETRY, "POST /v1/readings": READING, "POST /v1/activity": ACTIVITY}
LIMITS = Limits()


class Parts(msgspec.Struct, frozen=True):
    """What a warm function holds."""

    settings: IngestSettings
    contracts: Contracts
    keys: KeyStore
    broker: Broker


@cache
def build() -> Parts:
    """Put the function together, once per cold start."""
    settings = IngestSettings.from_environ(os.environ)
    keys = KeyStore(
        partial(database.connect, DatabaseSettings.from_environ(os.environ)),
        partial(valkey.connect, CacheSettings.from_environ(os.environ)),
        memory=timedelta(seconds=settings.key_memory_seconds),
        cache_seconds=settings.key_cache_seconds,
    )
    return Parts(settings, load_contracts(), keys, Broker(BrokerSettings.from_environ(os.environ)))


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request."""
    retry_after = 1 + secrets.randbelow(5)
    try:
        answer = ingest(event, build(), retry_after)
    except Refusal as refusal:
        metrics.add_metric(f"Refused_{refusal.code}", MetricUnit.Count, 1)
        answer = answer_refusal(refusal, correlate(event), retry_after)
    return answer.for_gateway()


def ingest(event: dict[str, Any], parts: Parts, retry_after: int) -> Answer:
    """Take a request all the way, or refuse it."""
    request = read_request(event, LIMITS.max_body, LIMITS.max_inflated)
    fleet_id = authenticate(request, parts)
    slices = split_body(request.body, LIMITS.max_events)
    contract = CONTRACT_OF[request.route]
    verdicts = [judge(slice_, contract, fleet_id, request, parts.contracts, LIMITS) for slice_ in slices]
    records = [verdict.record for verdict in verdicts if verdict.record is not None]
    deliveries = iter(parts.broker.store(parts.settings.raw_events_topic, records))
    results = [settle(index, verdict, deliveries) for index, verdict in enumerate(verdicts)]
    count(results)
    return answer_results(results, request.correlation_id, retry_after)


def authenticate(request: Request, parts: Parts) -> str:
    """Name the fleet a request speaks for."""
    presented = parse_key(request.key, parts.settings.sluice_stage)
    try:
        stored = parts.keys.find(presented.key_id, request.received_at)
    except Retryable as error:
        logger.warning("no key can be looked up", reason=str(error))
        raise Refusal(429, "keys_unavailable", "The key cannot be checked right now; try again.") from error
    return open_with(presented, stored, "device", request.received_at)


def settle(index: int, verdict: Verdict, deliveries: Iterator[Delivery]) -> Result:
    """Give an event its status: by its own rejection, or by its own delivery report."""
    if verdict.rejection is not None:
        return reject(index, verdict.event_id, verdict.rejection)
    unstored = next(deliveries)
    if unstored is None:
        return Result(index, verdict.event_id, ACCEPTED)
    return Result(index, verdict.event_id, RETRY, {"code": "not_stored", "message": unstored.reason})


def count(results: list[Result]) -> None:
    """Count what became of the events; one metrics line per invocation carries it."""
    statuses = [result.status for result in results]
    for status, name in ((ACCEPTED, "EventsAccepted"), (REJECTED, "EventsRejected"), (RETRY, "EventsToRetry")):
        metrics.add_metric(name, MetricUnit.Count, statuses.count(status))
