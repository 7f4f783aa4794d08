"""Learn: what is usual for each series, computed from rollups, and verdicts about series as a whole.

statistics of some shards -> verdicts -> Valkey, where detect reads statistics -> once a day the baselines of a shard
-> once an hour the types of devices, which lookup reads in the directory
"""

import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any

from aws_lambda_powertools import Logger

from sluice.core.errors import Retryable
from sluice.core.metrics import (
    BASELINES_COMPUTED,
    DEVICE_TYPES_AGE,
    DEVICES_DESCRIBED,
    FLEETS_ASLEEP,
    SHARDS_UNPUBLISHED,
    STATISTICS_AGE,
    VERDICTS_SENT,
)
from sluice.edge import cache as valkey
from sluice.edge.broker import Broker
from sluice.edge.context import Context, seconds_left, seconds_to_work
from sluice.edge.database import Database, connect
from sluice.edge.detect.baselines import Baselines
from sluice.edge.detect.device_types import DeviceTypes, TypeRows
from sluice.edge.detect.learning import Learning, LearnReport
from sluice.edge.detect.rulebook import make_rulebook
from sluice.edge.events.schemas import load_contracts
from sluice.edge.invoked import InvokedFunction
from sluice.edge.metrics import metrics, record_all
from sluice.edge.settings import BrokerSettings, CacheSettings, DatabaseSettings, LearnSettings, RuleSettings

logger = Logger()


@cache
def build() -> tuple[Learning, LearnSettings]:
    """Build the function, once per cold start."""
    settings = LearnSettings.from_environ(os.environ)
    shared = valkey.Cache(partial(valkey.connect, CacheSettings.from_environ(os.environ)))
    rulebook = make_rulebook(RuleSettings.from_environ(os.environ), shared)
    lookup = InvokedFunction(settings.lookup_function, settings.learn_lookup_seconds, settings.aws_region)
    learning = Learning(
        lambda now: rulebook.find(now).content,
        DeviceTypes(lookup, timedelta(seconds=settings.learn_types_seconds)),
        load_contracts().book,
        shared,
        Broker(BrokerSettings.from_environ(os.environ)),
        settings.alert_events_topic,
        timedelta(seconds=settings.learn_every_seconds),
        settings.learn_shards,
    )
    return learning, settings


@metrics.log_metrics
def handler(_event: object, context: Context) -> dict[str, Any]:
    """Learn while time is left; a run with a defect reports its work before it raises."""
    learning, settings = build()
    login = DatabaseSettings.from_environ(os.environ)
    database = Database(lambda: connect(login, settings.statement_seconds), seconds_to_work(context))
    try:
        # Runs are short, and an idle connection would be cut between them.
        with closing(database), database.use() as connection:
            baselines = Baselines(connection, timedelta(seconds=settings.learn_learning_seconds), settings.learn_days)
            done = learning.run(
                baselines,
                TypeRows(connection),
                datetime.now(UTC),
                lambda: seconds_left(context) > settings.reserve_seconds,
            )
    except Retryable as error:
        # Not an error: the alarm on the age of statistics treats missing data as trouble.
        logger.warning("the run ends early", extra={"reason": str(error)})
        return {}
    reported = report(done)
    if done.defect is not None:
        raise done.defect
    return reported


def report(done: LearnReport) -> dict[str, Any]:
    """Record the run's results."""
    values = {
        DEVICES_DESCRIBED: done.devices,
        BASELINES_COMPUTED: done.series,
        VERDICTS_SENT: done.verdicts,
        FLEETS_ASLEEP: len(done.asleep),
        SHARDS_UNPUBLISHED: done.unpublished,
    }
    ages = {STATISTICS_AGE: done.oldest, DEVICE_TYPES_AGE: done.types_age}
    return record_all(values | {metric: age.total_seconds() for metric, age in ages.items() if age is not None})
