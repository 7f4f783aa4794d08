"""Ingest: a device's request becomes Kafka records, and every event in it gets an honest answer.

authenticate -> split into byte-exact slices -> admit by quota -> judge each by its contract -> store -> one status each
"""

import os
import secrets
from datetime import timedelta
from functools import cache, partial
from typing import Any

import msgspec
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from sluice.core.answers import ACCEPTED, REJECTED, RETRY, Answer, Result, answer_refusal, answer_results, reject
from sluice.core.contracts import ACTIVITY, READING, TELEMETRY
from sluice.core.errors import Refusal, Rejection, Retryable, Unparsable
from sluice.core.judge import Accepted, Rejected, Rules, Verdict, judge
from sluice.core.keys import StoredKey, open_with, parse_key
from sluice.core.letters import Claims, write_letter
from sluice.core.limits import Limits
from sluice.core.messages import Message
from sluice.core.quotas import Quota
from sluice.core.requests import Request, correlate, read_body, read_request
from sluice.core.slices import split_body
from sluice.edge import cache as valkey
from sluice.edge import database
from sluice.edge.broker import Broker, Delivery
from sluice.edge.keystore import KeyStore
from sluice.edge.quotas import Quotas
from sluice.edge.schemas import load_contracts
from sluice.edge.settings import BrokerSettings, CacheSettings, DatabaseSettings, IngestSettings

logger = Logger()
metrics = Metrics()

CONTRACT_OF = {"POST /v1/events": TELEMETRY, "POST /v1/readings": READING, "POST /v1/activity": ACTIVITY}
LIMITS = Limits()


class Parts(msgspec.Struct, frozen=True):
    """What a warm function holds."""

    settings: IngestSettings
    rules: Rules
    keys: KeyStore
    quotas: Quotas
    broker: Broker


@cache
def build() -> Parts:
    """Put the function together, once per cold start."""
    settings = IngestSettings.from_environ(os.environ)
    shared = valkey.Cache(partial(valkey.connect, CacheSettings.from_environ(os.environ)))
    keys = KeyStore(
        database.Database(partial(database.connect, DatabaseSettings.from_environ(os.environ))),
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
        key = authenticate(request, parts)
        fleet_id = key.fleet_id
        return accept(event, request, key, parts, retry_after)
    except Refusal as refusal:
        metrics.add_dimension("fleet", fleet_id)
        metrics.add_dimension("reason", refusal.code)
        metrics.add_metric("RequestsRefused", MetricUnit.Count, 1)
        return answer_refusal(refusal, correlate(event), retry_after)


def authenticate(request: Request, parts: Parts) -> StoredKey:
    """Find out whose request this is."""
    presented = parse_key(request.key, parts.settings.sluice_stage)
    try:
        stored = parts.keys.find(presented.key_id, request.received_at)
    except Retryable as error:
        logger.warning("no key can be looked up", reason=str(error))
        raise Refusal(429, "keys_unavailable", "The key cannot be checked right now; try again.") from error
    return open_with(presented, stored, "device", request.received_at)


def accept(event: dict[str, Any], request: Request, key: StoredKey, parts: Parts, retry_after: int) -> Answer:
    """Judge and store the events of a known fleet."""
    quota = Quota(key.events_per_second, key.rejects_per_second)
    now = request.received_at
    try:
        slices = split_body(read_body(event, LIMITS), LIMITS.max_events)
    except Unparsable as refusal:
        admit(key, quota, 1, request, parts)
        parts.quotas.charge_rejects(key.fleet_id, quota, 1, now)
        bury(refusal, request, key, parts)
        raise
    admit(key, quota, len(slices), request, parts)
    contract = CONTRACT_OF[request.route]
    verdicts = [judge(slice_, contract, key.fleet_id, request, parts.rules) for slice_ in slices]
    if rejects := sum(isinstance(verdict, Rejected) for verdict in verdicts):
        parts.quotas.charge_rejects(key.fleet_id, quota, rejects, now)
    messages = [address(verdict, contract, request, key, parts) for verdict in verdicts]
    deliveries = parts.broker.store(messages)
    results = [settle(*judged) for judged in zip(range(len(verdicts)), verdicts, deliveries, strict=True)]
    count(results)
    return answer_results(results, request.correlation_id, retry_after)


def admit(key: StoredKey, quota: Quota, events: int, request: Request, parts: Parts) -> None:
    """Let a fleet have its share and no more, so that it can neither starve nor bankrupt the others."""
    match parts.quotas.exceeded(key.fleet_id, quota, events, request.received_at):
        case "events":
            raise Refusal(429, "quota_events", f"This fleet may send {quota.events:g} events a second.")
        case "rejects":
            raise Refusal(
                429, "quota_rejects", f"More than {quota.rejects:g} events a second of this fleet are rejected."
            )


def address(verdict: Verdict, contract: str, request: Request, key: StoredKey, parts: Parts) -> Message:
    """Make of every verdict the one record it is stored as: the event itself, or its dead letter."""
    if isinstance(verdict, Accepted):
        return verdict.message
    return letter_about(verdict, contract, request, key, parts)


def letter_about(rejected: Rejected, contract: str | None, request: Request, key: StoredKey, parts: Parts) -> Message:
    """Write the dead letter of something rejected at the edge."""
    letter = write_letter(
        reason=rejected.rejection.code,
        detail=rejected.rejection.message,
        body=rejected.event,
        max_body=LIMITS.max_letter,
        consumer="ingest",
        failed_at=request.received_at,
        fleet_id=key.fleet_id,
        contract=contract,
        correlation_id=request.correlation_id,
        **msgspec.structs.asdict(rejected.claims),
    )
    return Message(parts.settings.dead_letter_topic, letter.letter_id.encode(), msgspec.json.encode(letter))


def bury(refusal: Unparsable, request: Request, key: StoredKey, parts: Parts) -> None:
    """Store a body that is no events as one dead letter; the refusal stands only once that is done."""
    rejected = Rejected(refusal.body, Rejection(refusal.code, refusal.detail), Claims())
    (unstored,) = parts.broker.store([letter_about(rejected, CONTRACT_OF[request.route], request, key, parts)])
    if unstored is not None:
        raise Refusal(429, "not_stored", "The body is no events, and not even that could be written down; try again.")


def settle(index: int, verdict: Verdict, unstored: Delivery) -> Result:
    """Give an event its status: never a stronger one than its own delivery report allows."""
    event_id = verdict.event_id if isinstance(verdict, Accepted) else verdict.claims.event_id
    if unstored is not None:
        return Result(index, event_id, RETRY, {"code": "not_stored", "message": unstored.reason})
    if isinstance(verdict, Rejected):
        return reject(index, event_id, verdict.rejection)
    return Result(index, event_id, ACCEPTED)


def count(results: list[Result]) -> None:
    """Count what became of the events; one metrics line per invocation carries it."""
    statuses = [result.status for result in results]
    for status, name in ((ACCEPTED, "EventsAccepted"), (REJECTED, "EventsRejected"), (RETRY, "EventsToRetry")):
        metrics.add_metric(name, MetricUnit.Count, statuses.count(status))
