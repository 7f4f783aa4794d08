"""Reconcile: accounts for every accepted event, names missing events, and runs them again.

count stored records -> compare with the brokers' offsets -> name missing events -> run them again -> report the rest

{"statement": day} returns that day's statement; {"rerun": {...}} runs a consumer again from offsets.
"""

import os
from contextlib import closing
from datetime import date, timedelta
from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.consumers import ACCOUNTED
from sluice.core.errors import Retryable
from sluice.edge import aws
from sluice.edge.bucket import Bucket
from sluice.edge.context import Context, seconds_left, seconds_to_work
from sluice.edge.database import Database, connect
from sluice.edge.events.schemas import load_contracts
from sluice.edge.invoked import InvokedFunction
from sluice.edge.ledger.counted_objects import Folder
from sluice.edge.ledger.reconcile_run import Order, ReconcileRun
from sluice.edge.ledger.reconciling import Accountable, Ledger
from sluice.edge.ledger.rereading import GROUP, Rereader
from sluice.edge.metrics import metrics
from sluice.edge.settings import BrokerSettings, DatabaseSettings, ReconcileSettings
from sluice.edge.topic_offsets import TopicOffsets

logger = Logger()

ANSWER_SECONDS, TRIES = 30, 3  # for S3: a file of some 100 MB, read by columns


@cache
def build() -> tuple[Ledger, ReconcileSettings]:
    """Build the function, once per cold start."""
    settings = ReconcileSettings.from_environ(os.environ)
    brokers = BrokerSettings.from_environ(os.environ)
    topic, region = settings.raw_events_topic, settings.aws_region
    s3 = aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=TRIES)
    consumers = {
        name: Accountable(
            InvokedFunction(getattr(settings, f"{name}_function"), settings.rerun_seconds, region),
            TopicOffsets(brokers, topic, name),
            timedelta(seconds=getattr(settings, f"{name}_grace_seconds")),
        )
        for name in (consumer.name for consumer in ACCOUNTED)
    }
    ledger = Ledger(
        topic=topic,
        raw=Folder(Bucket(s3, settings.raw_bucket), f"raw/region={region}/"),
        letters=Folder(Bucket(s3, settings.dead_letter_bucket), f"dead_letters/region={region}/"),
        cluster_arn=settings.kafka_cluster_arn,
        bootstrap=brokers.kafka_bootstrap,
        offsets=TopicOffsets(brokers, topic, GROUP),
        rereader=Rereader(brokers, topic),
        consumers=consumers,
        contracts=load_contracts(),
    )
    return ledger, settings


@metrics.log_metrics
def handler(event: dict[str, Any], context: Context) -> Any:
    """Do what the event asks for, or else what is due."""
    ledger, settings = build()
    login = DatabaseSettings.from_environ(os.environ)
    database = Database(lambda: connect(login, settings.statement_seconds), seconds_to_work(context))
    try:
        # A run's lock ends with its connection.
        with closing(database), database.use() as connection:
            # A run begins nothing that it cannot finish.
            run = ReconcileRun(ledger, connection, lambda: seconds_left(context) > settings.reserve_seconds)
            return work(event, run)
    except Retryable as error:
        # Not an error: if its metric is missing for a quarter of an hour, the alarm on UnaccountedEvents fires.
        logger.warning("the run ends early", extra={"reason": str(error)})
        return {}


def work(event: dict[str, Any], run: ReconcileRun) -> Any:
    """Do what the event asks for, or else what is due."""
    if "statement" in event:
        return msgspec.to_builtins(run.draw_up(date.fromisoformat(event["statement"])))
    if "rerun" in event:
        return run.rerun(msgspec.convert(event["rerun"], Order))
    return run.reconcile()
