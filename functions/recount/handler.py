"""Recount: replayed events become a generation of samples beside the live ones, until a replay swaps it in."""

import os
from functools import cache, partial
from typing import Any

from sluice.core.consumers import RECOUNT
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
from sluice.edge.replay.recounting import Recounting
from sluice.edge.samples.numbering import Numbering
from sluice.edge.settings import BrokerSettings, CacheSettings, DatabaseSettings, RecountSettings


@cache
def build() -> BatchConsumer:
    """Build the function, once per cold start."""
    settings = RecountSettings.from_environ(os.environ)
    brokers = BrokerSettings.from_environ(os.environ)
    shared = valkey.Cache(partial(valkey.connect, CacheSettings.from_environ(os.environ)))
    connect = partial(
        database.connect, DatabaseSettings.from_environ(os.environ), answer_seconds=settings.transaction_seconds
    )
    store = database.Database(connect, settings.transaction_seconds)
    contracts = load_contracts()
    numbering = Numbering(contracts.book.series)
    allowance = SharedAllowance(shared, RECOUNT.name, settings.recount_concurrency)
    record_seconds = brokers.produce_deadline_seconds + 2 * (settings.transaction_seconds + database.CONNECT_SECONDS)
    record_seconds += database.ANSWER_SECONDS + database.CONNECT_SECONDS
    return BatchConsumer(
        Recounting(contracts, Limits(), store, numbering, RECOUNT.name),
        Attempts(shared, RECOUNT.name),
        Quarantine(Broker(brokers), settings.dead_letter_topic, RECOUNT.name, allowance),
        Holds(shared, RECOUNT.name, settings.version_hold_seconds),
        hold_seconds=settings.hold_seconds,
        record_seconds=record_seconds,
    )


@metrics.log_metrics
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Process one batch and name the records to retry."""
    return build().consume(event, lambda: seconds_left(context))
