"""Attend: every minute, does for incidents what time alone asks for; and stores what notify reports of its attempts.

send what waits -> end incidents whose devices went silent -> send what is due: escalations, ends of silences -> renew
the hints
"""

import os
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any

from aws_lambda_powertools import Logger

from sluice.core.alerts.messages import StageAddress
from sluice.core.alerts.steps import Step
from sluice.core.errors import Retryable
from sluice.core.notify.destinations import DESTINATIONS, Destination
from sluice.edge import aws
from sluice.edge import cache as valkey
from sluice.edge.alerts.attempts import record_attempts
from sluice.edge.alerts.attending import Attending
from sluice.edge.alerts.outbox import Outbox
from sluice.edge.alerts.topics import ANSWER_SECONDS, TRIES, AlertTopics
from sluice.edge.alerts.watched import WatchedHints
from sluice.edge.bucket import Bucket
from sluice.edge.context import Context, seconds_left, seconds_to_work
from sluice.edge.database import Database, connect
from sluice.edge.metrics import metrics
from sluice.edge.published import Published, SharedCopy
from sluice.edge.settings import AttendSettings, CacheSettings, DatabaseSettings

logger = Logger()

Steps = Published[Destination, tuple[Step, ...]]
LOOK_EVERY = timedelta(minutes=1)
S3_SECONDS, S3_TRIES = 2, 2


@cache
def build() -> tuple[AttendSettings, AlertTopics, WatchedHints, Steps]:
    """Build the function, once per cold start."""
    settings = AttendSettings.from_environ(os.environ)
    shared = valkey.Cache(partial(valkey.connect, CacheSettings.from_environ(os.environ)))
    sns = aws.client("sns", answer_seconds=ANSWER_SECONDS, tries=TRIES)
    steps = Published(
        DESTINATIONS,
        Destination,
        list_steps,
        SharedCopy(DESTINATIONS, shared),
        lambda: Bucket(aws.client("s3", answer_seconds=S3_SECONDS, tries=S3_TRIES), settings.control_bucket),
        LOOK_EVERY,
        5 * LOOK_EVERY,
    )
    topics = AlertTopics(sns, settings.alert_topic_in_order, settings.alert_topic)
    return settings, topics, WatchedHints(shared), steps


@metrics.log_metrics
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Attend to incidents, or store a batch of the queue."""
    settings, topics, hints, steps = build()
    login = DatabaseSettings.from_environ(os.environ)
    database = Database(partial(connect, login, settings.attend_statement_seconds), seconds_to_work(context))
    # An idle connection would be cut between two runs.
    with closing(database):
        if "Records" in event:
            return record_attempts(database, event)
        now = datetime.now(UTC)
        run = Attending(
            database,
            Outbox(database, topics),
            hints,
            StageAddress(settings.sluice_stage, settings.dashboard_address),
            find_steps(steps, now),
            lambda: seconds_left(context) > settings.attend_reserve_seconds,
        )
        run.run(now)
        return {}


def list_steps(destinations: Sequence[Destination]) -> tuple[Step, ...]:
    """List after how many unacknowledged minutes some destination wants a message, and about which incidents."""
    steps = {
        Step(after_minutes=each.after_minutes, fleet_id=each.fleet_id, least_severity=each.least_severity): None
        for each in destinations
        if each.after_minutes > 0
    }
    return tuple(steps)


def find_steps(steps: Steps, now: datetime) -> tuple[Step, ...]:
    """Find these steps; none while no destinations are published."""
    try:
        return steps.find(now).content
    except Retryable as error:
        logger.warning("no incident is escalated in this run", reason=str(error))
        return ()
