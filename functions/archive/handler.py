"""Archive: accepted events become rows of the raw table."""

import os
from functools import cache, partial
from typing import Any

from sluice.core.consumers import ARCHIVE
from sluice.edge import aws
from sluice.edge import cache as valkey
from sluice.edge.archive.archiving import ANSWER_SECONDS, Archiving, Delivery
from sluice.edge.broker import Broker
from sluice.edge.context import Context, seconds_left
from sluice.edge.events.schemas import load_contracts
from sluice.edge.failures.attempts import Attempts
from sluice.edge.failures.consuming import BatchConsumer
from sluice.edge.failures.holding import Holds
from sluice.edge.failures.quarantine import Quarantine, SharedAllowance
from sluice.edge.metrics import metrics
from sluice.edge.settings import ArchiveSettings, BrokerSettings, CacheSettings


@cache
def build() -> BatchConsumer:
    """Build the function, once per cold start."""
    settings = ArchiveSettings.from_environ(os.environ)
    brokers = BrokerSettings.from_environ(os.environ)
    shared = valkey.Cache(partial(valkey.connect, CacheSettings.from_environ(os.environ)))
    delivery = Delivery(aws.client("firehose", answer_seconds=ANSWER_SECONDS), settings.delivery_streams.split(","))
    allowance = SharedAllowance(shared, ARCHIVE.name, settings.archive_concurrency)
    return BatchConsumer(
        Archiving(load_contracts(), delivery),
        Attempts(shared, ARCHIVE.name),
        Quarantine(Broker(brokers), settings.dead_letter_topic, ARCHIVE.name, allowance),
        Holds(shared, ARCHIVE.name, settings.version_hold_seconds),
        hold_seconds=settings.hold_seconds,
        # A row is one call, and a dead letter may follow it.
        record_seconds=aws.CONNECT_SECONDS + ANSWER_SECONDS + brokers.produce_deadline_seconds,
    )


@metrics.log_metrics
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Archive one batch and name the records to retry."""
    return build().consume(event, lambda: seconds_left(context))
