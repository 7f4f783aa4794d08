"""Ingest: a device's request becomes Kafka records, and every event in it gets its real status."""

import os
import secrets
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from sluice.core.api.keys import Site
from sluice.core.api.requests import read_correlation_id
from sluice.core.events.contracts import ACTIVITY, READING, TELEMETRY
from sluice.core.ingest.judge import Rules
from sluice.core.limits import Limits
from sluice.edge import cache as valkey
from sluice.edge.api.keystore import make_keystore
from sluice.edge.api.quotas import Quotas
from sluice.edge.broker import Broker
from sluice.edge.correlation import use_correlation_id
from sluice.edge.events.schemas import load_contracts
from sluice.edge.ingest.accepting import Ingest
from sluice.edge.ingest.pressure import Pressure, Snapshots
from sluice.edge.metrics import metrics
from sluice.edge.settings import BrokerSettings, CacheSettings, IngestSettings

CONTRACT_OF = {"POST /v1/events": TELEMETRY, "POST /v1/readings": READING, "POST /v1/activity": ACTIVITY}


@cache
def build() -> Ingest:
    """Build the function, once per cold start."""
    settings = IngestSettings.from_environ(os.environ)
    shared = valkey.Cache(partial(valkey.connect, CacheSettings.from_environ(os.environ)))
    return Ingest(
        Site(settings.sluice_stage, settings.aws_region),
        CONTRACT_OF,
        Rules(load_contracts(), Limits(), settings.raw_events_topic),
        settings.dead_letter_topic,
        make_keystore(settings, shared),
        Quotas(shared, settings.ingest_concurrency),
        Broker(BrokerSettings.from_environ(os.environ)),
        Pressure(Snapshots(shared)),
        secrets.SystemRandom().random,
    )


if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") in ("on-demand", "provisioned-concurrency"):
    # In the initialization, so that no request waits for it in an environment that is started ahead. Not for SnapStart:
    # the copies of an environment would share a producer's id, and the brokers would drop records as repeated.
    build().connect(datetime.now(UTC))


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request."""
    with use_correlation_id(read_correlation_id(event)):
        return build().answer(event, retry_after=1 + secrets.randbelow(5)).for_gateway()
