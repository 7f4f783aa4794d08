"""Trace: where an event is, told from the files, the dead letters and the numbers.

authenticate -> read the question -> admit by rate -> look among the files -> ask the numbers -> one answer

An operator invokes the function instead, by IAM and without a key, and may ask of every fleet. What cannot be asked is
said in the answer; only without any answer there is an error.
"""

import os
import secrets
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from aws_lambda_powertools import Logger

from sluice.core.api.requests import correlate
from sluice.edge.api.gate import Gate
from sluice.edge.api.keystore import KeyStore, make_stores
from sluice.edge.api.quotas import Quotas
from sluice.edge.invoked import InvokedFunction
from sluice.edge.metrics import metrics
from sluice.edge.query.reading import Reader
from sluice.edge.query.rollups import RollupReader
from sluice.edge.settings import CacheSettings, DatabaseSettings, TraceSettings
from sluice.edge.trace.traces import TraceReader
from sluice.edge.trace.tracing import OPERATOR, Tracer

logger = Logger()


@cache
def build() -> Tracer:
    """Put the function together, once per cold start."""
    settings = TraceSettings.from_environ(os.environ)
    seconds = settings.trace_answer_seconds
    # The server is to stop first: it says why.
    login, place = DatabaseSettings.from_environ(os.environ), CacheSettings.from_environ(os.environ)
    store, shared = make_stores(login, place, seconds, seconds + 1)
    keys = KeyStore(store, shared, settings.key_memory_seconds, settings.key_cache_seconds)
    quotas = Quotas(shared, settings.trace_concurrency)
    files = InvokedFunction(settings.seek_function, settings.seek_seconds, settings.aws_region)
    reader = Reader(store, seconds)
    numbers = TraceReader(reader, RollupReader(reader))
    gate = Gate("trace", settings.sluice_stage, settings.trace_requests_per_second, keys, quotas)
    return Tracer(gate, settings.trace_visible_seconds, files, reader, numbers, partial(datetime.now, UTC))


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request of the gateway's, or one call of an operator's."""
    retry_after = 5 + secrets.randbelow(10)
    # The gateway writes this member itself: no request can leave it out.
    asks = "requestContext" in event
    with logger.append_context_keys(correlation_id=correlate(event) if asks else OPERATOR):
        if asks:
            return build().answer_reader(event, retry_after).for_gateway()
        return build().answer_operator(event, retry_after)
