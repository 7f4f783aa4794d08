"""Aggregate: accepted events become samples, the set that every number is computed from."""

import os
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from sluice.core.consumers import AGGREGATE
from sluice.core.limits import Limits
from sluice.edge import cache as valkey
from sluice.edge import database
from sluice.edge.broker import Broker
from sluice.edge.context import Context, seconds_left
from sluice.edge.events.schemas import load_contracts
from sluice.edge.failures.attempts import Attempts
from sluice.edge.failures.consuming import BatchConsumer
from sluice.edge.failures.holding import Holds
from sluice.edge.failures.quarantine import Quarantine, SharedAllowance
from sluice.edge.metrics import metrics
from sluice.edge.samples.aggregating import Aggregating
from sluice.edge.samples.counters import Counters
from sluice.edge.samples.duplicate_hints import DuplicateHints
from sluice.edge.samples.numbering import Numbering
from sluice.edge.samples.storing import Samples
from sluice.edge.settings import AggregateSettings, BrokerSettings, CacheSettings, DatabaseSettings


@cache
def build() -> BatchConsumer:
    """Build the function, once per cold start."""
    settings = AggregateSettings.from_environ(os.environ)
    brokers = BrokerSettings.from_environ(os.environ)
    shared = valkey.Cache(partial(valkey.connect, CacheSettings.from_environ(os.environ)))
    connect = partial(
        database.connect, DatabaseSettings.from_environ(os.environ), answer_seconds=settings.transaction_seconds
    )
    store = database.Database(connect, settings.transaction_seconds)
    contracts, limits = load_contracts(), Limits()
    samples = Samples(store, Numbering(contracts.book.series), AGGREGATE.name, limits)
    allowance = SharedAllowance(shared, AGGREGATE.name, settings.aggregate_concurrency)
    # A transaction for its sample; or a question, its dead letter, and a transaction that covers it.
    record_seconds = brokers.produce_deadline_seconds + 2 * (settings.transaction_seconds + database.CONNECT_SECONDS)
    record_seconds += database.ANSWER_SECONDS + database.CONNECT_SECONDS
    return BatchConsumer(
        Aggregating(contracts, limits, DuplicateHints(shared), samples, Counters(shared), lambda: datetime.now(UTC)),
        Attempts(shared, AGGREGATE.name),
        Quarantine(Broker(brokers), settings.dead_letter_topic, AGGREGATE.name, allowance),
        Holds(shared, AGGREGATE.name, settings.version_hold_seconds),
        hold_seconds=settings.hold_seconds,
        record_seconds=record_seconds,
    )


@metrics.log_metrics
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Process one batch and name the records to retry."""
    return build().consume(event, lambda: seconds_left(context))
