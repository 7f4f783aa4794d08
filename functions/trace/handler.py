"""Trace: finds an event in the files, the dead letters and the numbers.

authenticate -> read the question -> admit by rate -> search the files -> read the numbers -> one answer

An operator invokes the function through IAM, without a key, and may ask about every fleet. The answer names sources
that could not be read. Only if no source answers, the result is an error.
"""

import os
import secrets
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from sluice.core.api.keys import Site
from sluice.core.api.requests import read_correlation_id
from sluice.edge import cache as valkey
from sluice.edge.api.gate import Gate
from sluice.edge.api.keystore import make_keystore
from sluice.edge.api.quotas import Quotas
from sluice.edge.cache import Cache
from sluice.edge.correlation import use_correlation_id
from sluice.edge.database import Database, connect
from sluice.edge.invoked import InvokedFunction
from sluice.edge.metrics import metrics
from sluice.edge.query.reading import Reader
from sluice.edge.query.rollups import RollupReader
from sluice.edge.settings import CacheSettings, DatabaseSettings, TraceSettings
from sluice.edge.trace.traces import TraceReader
from sluice.edge.trace.tracing import OPERATOR, Tracer


@cache
def build() -> Tracer:
    """Build the function, once per cold start."""
    settings = TraceSettings.from_environ(os.environ)
    seconds = settings.trace_answer_seconds
    # The server's timeout must come first: its error names the reason.
    login, place = DatabaseSettings.from_environ(os.environ), CacheSettings.from_environ(os.environ)
    store, shared = Database(partial(connect, login, seconds), seconds + 1), Cache(partial(valkey.connect, place))
    keys = make_keystore(settings, shared)
    quotas = Quotas(shared, settings.trace_concurrency)
    files = InvokedFunction(settings.seek_function, settings.seek_seconds, settings.aws_region)
    reader = Reader(store, seconds)
    numbers = TraceReader(reader, RollupReader(reader))
    gate = Gate(
        "trace", Site(settings.sluice_stage, settings.aws_region), settings.trace_requests_per_second, keys, quotas
    )
    return Tracer(gate, settings.trace_visible_seconds, files, reader, numbers, partial(datetime.now, UTC))


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request from the gateway, or one call from an operator."""
    retry_after = 5 + secrets.randbelow(10)
    # The gateway adds this member itself: no request can omit it.
    asks = "requestContext" in event
    with use_correlation_id(read_correlation_id(event) if asks else OPERATOR):
        if asks:
            return build().answer_reader(event, retry_after).for_gateway()
        return build().answer_operator(event, retry_after)
