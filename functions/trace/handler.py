"""Trace: where an event is, told from the files, the dead letters and the numbers.

authenticate -> read the question -> admit by rate -> look among the files -> ask the numbers -> one answer

An operator invokes the function instead, by IAM and without a key, and may ask of every fleet. What cannot be asked is
said in the answer; only without any answer there is an error.
"""

import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any

import msgspec
from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from sluice.core.api.answers import Answer, answer_refusal
from sluice.core.api.keys import StoredKey
from sluice.core.api.quotas import BURST_SECONDS, Quota
from sluice.core.api.representations import represent
from sluice.core.api.requests import correlate, read_request
from sluice.core.errors import Refusal, Retryable
from sluice.core.limits import Limits
from sluice.core.trace.fate import Asked, Numbers, Unasked, devices_of, tell, write_document
from sluice.core.trace.question import read_address, read_call, where_to_look
from sluice.core.trace.seeking import Found
from sluice.edge import cache as valkey
from sluice.edge import database
from sluice.edge.api.authenticate import authenticate
from sluice.edge.api.keystore import KeyStore
from sluice.edge.api.quotas import Quotas
from sluice.edge.invoked import InvokedFunction
from sluice.edge.query.reading import Reader
from sluice.edge.query.rollups import RollupReader
from sluice.edge.settings import CacheSettings, DatabaseSettings, TraceSettings
from sluice.edge.trace.traces import TraceReader

logger = Logger()
metrics = Metrics()

OPERATOR = "operator"
"""In the place of a request's own correlation id, where there is no request."""


class Parts(msgspec.Struct, frozen=True):
    """What a warm function holds."""

    settings: TraceSettings
    reader: Reader
    keys: KeyStore
    quotas: Quotas
    files: InvokedFunction
    numbers: TraceReader
    clock: Callable[[], datetime]


@cache
def build() -> Parts:
    """Put the function together, once per cold start."""
    settings = TraceSettings.from_environ(os.environ)
    shared = valkey.Cache(partial(valkey.connect, CacheSettings.from_environ(os.environ)))
    seconds = settings.trace_answer_seconds
    connect = partial(database.connect, DatabaseSettings.from_environ(os.environ), seconds)
    # The server is to stop first: it says why.
    store = database.Database(connect, seconds + 1)
    files = InvokedFunction(settings.seek_function, settings.seek_seconds, settings.aws_region)
    return compose(settings, store, shared, files)


def compose(
    settings: TraceSettings,
    store: database.Database,
    shared: valkey.Cache,
    files: InvokedFunction,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Parts:
    """Put the parts together around a database, a cache and the function that looks among the files."""
    keys = KeyStore(
        store,
        shared,
        memory=timedelta(seconds=settings.key_memory_seconds),
        shared=timedelta(seconds=settings.key_cache_seconds),
    )
    reader = Reader(store, settings.trace_answer_seconds)
    numbers = TraceReader(reader, RollupReader(reader, Limits()))
    return Parts(settings, reader, keys, Quotas(shared, settings.trace_concurrency), files, numbers, clock)


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request of the gateway's, or one call of an operator's."""
    retry_after = 5 + secrets.randbelow(10)
    # The gateway writes this member itself: no request can leave it out.
    if "requestContext" in event:
        return answer_reader(event, build(), retry_after).for_gateway()
    return answer_operator(event, build(), retry_after)


def answer_reader(event: dict[str, Any], parts: Parts, retry_after: int) -> Answer:
    """Answer what a reader asks of the key's own fleet, or refuse it."""
    fleet_id = "unknown"
    try:
        request = read_request(event)
        key = authenticate(request, parts.keys, parts.settings.sluice_stage, "reader")
        fleet_id = key.fleet_id
        query = event.get("rawQueryString", "")
        asked = read_address(event.get("pathParameters", {}), query, fleet_id, request.received_at)
        admit(key, request.received_at, parts)
        document = msgspec.json.encode(find(asked, parts))
        return represent(document, event.get("headers", {}), request.correlation_id, seconds=0)
    except Refusal as refusal:
        count_refusal(fleet_id, refusal)
        return answer_refusal(refusal, correlate(event), retry_after)


def answer_operator(event: Mapping[str, Any], parts: Parts, retry_after: int) -> dict[str, Any]:
    """Answer what an operator asks, or the problem there is with it, as the API writes problems."""
    try:
        return find(read_call(event, parts.clock()), parts)
    except Refusal as refusal:
        count_refusal(OPERATOR, refusal)
        problem: dict[str, Any] = msgspec.json.decode(answer_refusal(refusal, OPERATOR, retry_after).body)
        return problem


def admit(key: StoredKey, now: datetime, parts: Parts) -> None:
    """Let a key ask so often and no oftener: an answer reads days of files."""
    rate = parts.settings.trace_requests_per_second
    if parts.quotas.exceeded(f"trace/{key.key_id}", Quota(rate, rate), 1, now):
        most = max(1, round(rate * BURST_SECONDS))
        raise Refusal(429, "quota_requests", f"This key may ask {most} times in {BURST_SECONDS} s.")


def find(asked: Asked, parts: Parts) -> dict[str, Any]:
    """Find out what became of an event, and tell it."""
    found = look_among_files(asked, parts)
    numbers = ask_numbers(asked, found, parts)
    trace = tell(asked, found, numbers, parts.clock(), parts.settings.trace_visible_seconds)
    count_unavailable(trace.unasked)
    if found.copies is None and found.letters is None and isinstance(numbers, Unasked):
        raise refuse(found)
    metrics.add_metric("EventsTraced", MetricUnit.Count, 1)
    return write_document(trace)


def look_among_files(asked: Asked, parts: Parts) -> Found:
    """Have seek look for the event."""
    try:
        found = parts.files.invoke(msgspec.json.encode(where_to_look(asked)))
    except Retryable as error:
        logger.warning("the files could not be looked through", reason=str(error))
        return Found(problem="unavailable")
    return msgspec.json.decode(found, type=Found)


def ask_numbers(asked: Asked, found: Found, parts: Parts) -> Numbers | Unasked:
    """Ask the database about every device that is known to have sent the event."""
    devices = devices_of(asked, found)
    if not devices:
        return Unasked("numbers", "device_unknown")
    parts.reader.begin()
    try:
        return parts.numbers.read(asked.event_id, devices, {copy.origin for copy in found.copies or ()})
    except Retryable as error:
        logger.warning("the numbers could not be asked", reason=str(error))
        return Unasked("numbers", "unavailable")
    except Refusal as refusal:
        logger.warning("the numbers did not come in time", reason=refusal.code)
        return Unasked("numbers", "timeout")


def count_unavailable(unasked: Iterable[Unasked]) -> None:
    """Count the sources that had to answer and did not: files may be too many for one question, numbers never are."""
    count = sum(one.reason == "unavailable" or (one.source, one.reason) == ("numbers", "timeout") for one in unasked)
    # By itself: a refusal that follows has dimensions of its own, under which no alarm would find this.
    with single_metric("SourcesUnavailable", MetricUnit.Count, count):
        pass


def refuse(found: Found) -> Refusal:
    """Say that nobody could be asked."""
    if found.problem in ("timeout", "too_much"):
        return Refusal(
            503, "trace_timeout", "Looking through the files takes too long: name the device, and fewer days."
        )
    return Refusal(503, "trace_unavailable", "Neither the files nor the numbers can be asked right now; try again.")


def count_refusal(fleet_id: str, refusal: Refusal) -> None:
    """Count a refused question by who asked it and why."""
    metrics.add_dimension("fleet", fleet_id)
    metrics.add_dimension("reason", refusal.code)
    metrics.add_metric("RequestsRefused", MetricUnit.Count, 1)
