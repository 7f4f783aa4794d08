"""Detect: readings are judged by rules as they come in, and verdicts about breaches go to alert-events."""

import os
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any

from sluice.core.consumers import DETECT
from sluice.core.limits import Limits
from sluice.edge import cache as valkey
from sluice.edge.broker import Broker
from sluice.edge.context import Context, seconds_left
from sluice.edge.detect.detecting import Detecting
from sluice.edge.detect.rulebook import make_rulebook
from sluice.edge.detect.statistics import PublishedStatistics
from sluice.edge.events.schemas import load_contracts
from sluice.edge.failures.attempts import Attempts
from sluice.edge.failures.consuming import BatchConsumer
from sluice.edge.failures.holding import Holds
from sluice.edge.failures.quarantine import Quarantine, SharedAllowance
from sluice.edge.metrics import metrics
from sluice.edge.settings import BrokerSettings, CacheSettings, DetectSettings, RuleSettings


@cache
def build() -> BatchConsumer:
    """Build the function, once per cold start."""
    settings = DetectSettings.from_environ(os.environ)
    brokers = BrokerSettings.from_environ(os.environ)
    shared = valkey.Cache(partial(valkey.connect, CacheSettings.from_environ(os.environ)))
    broker = Broker(brokers)
    work = Detecting(
        load_contracts(),
        Limits(),
        make_rulebook(RuleSettings.from_environ(os.environ), shared),
        PublishedStatistics(shared),
        broker,
        settings.alert_events_topic,
        timedelta(seconds=settings.detect_stale_seconds),
        lambda: datetime.now(UTC),
    )
    allowance = SharedAllowance(shared, DETECT.name, settings.detect_concurrency)
    return BatchConsumer(
        work,
        Attempts(shared, DETECT.name),
        Quarantine(broker, settings.dead_letter_topic, DETECT.name, allowance),
        Holds(shared, DETECT.name, settings.version_hold_seconds),
        hold_seconds=settings.hold_seconds,
        # Its verdicts, or its dead letter.
        record_seconds=brokers.produce_deadline_seconds,
    )


@metrics.log_metrics
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Process one batch and name the records to retry."""
    return build().consume(event, lambda: seconds_left(context))
