"""Redrive: fixes dead letters and sends them through the edge's validation again, for as long as time is left.

Letters of a consumer are given to that consumer alone.

Without a step, as the schedule calls it, it goes on with every re-drive that is not over. An admin's questions come as
{"step": "groups" | "explain" | "propose" | "measure", "asked": {...}}, and a reader's as the step "fleet_groups" from
query; edge/redrive/looking.py answers them.
"""

import os
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger

from sluice.core.consumers import ACCOUNTED
from sluice.core.errors import Refusal
from sluice.core.ingest.judge import Rules
from sluice.core.limits import Limits
from sluice.core.metrics import EVENTS_REDRIVEN, REDRIVE_STANDSTILL, REDRIVES_ACTIVE, REDRIVES_FAILED
from sluice.edge import aws
from sluice.edge.broker import Broker
from sluice.edge.bucket import Bucket
from sluice.edge.context import Context, seconds_left, seconds_to_work
from sluice.edge.correlation import use_correlation_id
from sluice.edge.database import Connection, Database, connect
from sluice.edge.events.schemas import load_contracts
from sluice.edge.invoked import InvokedFunction
from sluice.edge.metrics import metrics, record
from sluice.edge.redrive.giving import Takers
from sluice.edge.redrive.letter_files import LetterFiles
from sluice.edge.redrive.looking import Looking
from sluice.edge.redrive.redriving import Redriving, Sender
from sluice.edge.redrive.tables import RedriveTables
from sluice.edge.settings import BrokerSettings, DatabaseSettings, RedriveSettings

logger = Logger()

ANSWER_SECONDS, TRIES = 10, 3  # for S3


@cache
def build() -> tuple[Sender, RedriveSettings]:
    """Build the function, once per cold start."""
    settings = RedriveSettings.from_environ(os.environ)
    bucket = Bucket(aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=TRIES), settings.dead_letter_bucket)
    brokers = BrokerSettings.from_environ(os.environ)
    functions = {
        consumer.name: InvokedFunction(
            getattr(settings, f"{consumer.name}_function"), settings.redrive_give_seconds, settings.aws_region
        )
        for consumer in ACCOUNTED
    }
    sender = Sender(
        takers=Takers(functions, settings.kafka_cluster_arn, brokers.kafka_bootstrap),
        files=LetterFiles(bucket, settings.aws_region),
        broker=Broker(brokers),
        rules=Rules(load_contracts(), Limits(), settings.raw_events_topic),
        per_second=settings.redrive_per_second,
        settle=timedelta(seconds=settings.redrive_settle_seconds),
        kept=timedelta(days=settings.dead_letter_days),
    )
    return sender, settings


@metrics.log_metrics
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Answer a question, or go on."""
    sender, settings = build()
    login = DatabaseSettings.from_environ(os.environ)
    database = Database(lambda: connect(login, settings.statement_seconds), seconds_to_work(context))
    # A run's lock ends with its connection.
    with use_correlation_id(event.get("correlation_id", "")), closing(database), database.use() as connection:
        if "step" in event:
            ends = time.monotonic() + settings.redrive_answer_seconds
            looking = Looking(sender.files, sender.rules, connection, lambda: time.monotonic() < ends)
            return answer(looking, event["step"], event["asked"])
        return go_on(sender, connection, lambda: seconds_left(context) > settings.reserve_seconds)


def go_on(sender: Sender, connection: Connection, may_go_on: Callable[[], bool]) -> dict[str, Any]:
    """Go on with every re-drive that is not over."""
    redriving, tables = Redriving(sender, connection, may_go_on), RedriveTables(connection)
    sent = redriving.run()
    active = len(tables.list_active())
    record(EVENTS_REDRIVEN, sent)
    record(REDRIVES_ACTIVE, active)
    record(REDRIVES_FAILED, redriving.failed)
    record(REDRIVE_STANDSTILL, tables.measure_standstill())
    return {"sent": sent, "active": active}


def answer(looking: Looking, step: str, asked: object) -> dict[str, Any]:
    """Answer who invoked: with the result, or with why it is refused."""
    questions = {
        "groups": looking.groups,
        "fleet_groups": looking.fleet_groups,
        "explain": looking.explain,
        "propose": looking.propose,
        "measure": looking.measure,
    }
    try:
        return {"result": questions[step](asked)}
    except Refusal as refusal:
        return {"refused": {"status": refusal.status, "code": refusal.code, "detail": refusal.detail}}
