"""Alert: verdicts become incidents, and incidents become messages."""

import os
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from sluice.core.alerts.messages import StageAddress
from sluice.core.consumers import ALERT
from sluice.edge import aws, database
from sluice.edge import cache as valkey
from sluice.edge.alerts.alerting import TELL_SECONDS, Alerting
from sluice.edge.alerts.outbox import Outbox
from sluice.edge.alerts.topics import ANSWER_SECONDS, TOGETHER_SECONDS, TRIES, AlertTopics
from sluice.edge.alerts.watched import WatchedHints
from sluice.edge.broker import Broker
from sluice.edge.context import Context, seconds_left
from sluice.edge.failures.attempts import Attempts
from sluice.edge.failures.consuming import BatchConsumer
from sluice.edge.failures.holding import Holds
from sluice.edge.failures.quarantine import Quarantine, SharedAllowance
from sluice.edge.metrics import metrics
from sluice.edge.settings import AlertSettings, BrokerSettings, CacheSettings, DatabaseSettings


@cache
def build() -> BatchConsumer:
    """Build the function, once per cold start."""
    settings = AlertSettings.from_environ(os.environ)
    brokers = BrokerSettings.from_environ(os.environ)
    shared = valkey.Cache(partial(valkey.connect, CacheSettings.from_environ(os.environ)))
    connect = partial(
        database.connect, DatabaseSettings.from_environ(os.environ), answer_seconds=settings.transaction_seconds
    )
    store = database.Database(connect, settings.transaction_seconds)
    sns = aws.client("sns", answer_seconds=ANSWER_SECONDS, tries=TRIES)
    topics = AlertTopics(sns, settings.alert_topic_in_order, settings.alert_topic)
    allowance = SharedAllowance(shared, ALERT.name, settings.alert_concurrency)
    sender = StageAddress(settings.sluice_stage, settings.dashboard_address)
    # The record, then its messages, then its dead letter.
    transactions = 2 * (settings.transaction_seconds + database.CONNECT_SECONDS)
    record_seconds = brokers.produce_deadline_seconds + transactions + TELL_SECONDS + TOGETHER_SECONDS
    return BatchConsumer(
        Alerting(store, Outbox(store, topics), WatchedHints(shared), sender, lambda: datetime.now(UTC)),
        Attempts(shared, ALERT.name),
        Quarantine(Broker(brokers), settings.dead_letter_topic, ALERT.name, allowance),
        Holds(shared, ALERT.name, settings.version_hold_seconds),
        hold_seconds=settings.hold_seconds,
        record_seconds=record_seconds,
    )


@metrics.log_metrics
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Process one batch and name the records to retry."""
    return build().consume(event, lambda: seconds_left(context))
