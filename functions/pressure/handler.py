"""Pressure: how long events wait for their consumers and how full the disks are become the share that ingest refuses.

ask the brokers what is unread and since when -> ask CloudWatch for the disks -> settle the share -> publish it
"""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any

import msgspec
from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from sluice.core.errors import Retryable
from sluice.core.ingest.backlog import find_age, holds_older
from sluice.core.ingest.pressure import UnknownPressureError, measure_strain, name_level, settle_share
from sluice.edge import aws
from sluice.edge import cache as valkey
from sluice.edge.backlog import Backlog
from sluice.edge.ingest.disks import ANSWER_SECONDS, TRIES, Disks
from sluice.edge.ingest.pressure import Snapshots
from sluice.edge.patience import Patience
from sluice.edge.settings import BrokerSettings, CacheSettings, PressureSettings

logger = Logger()
metrics = Metrics()

# Everybody who has to have read an event before Kafka may forget it.
CONSUMERS = ("archive", "aggregate")
# Ages are looked for up to so many times what a record may wait, and found to such a part of it.
LONGEST, EXACT_TO = 2, 1 / 120


class Parts(msgspec.Struct, frozen=True):
    """What a warm function holds."""

    settings: PressureSettings
    backlogs: Mapping[str, Backlog]
    """By their consumers."""
    disks: Disks
    snapshots: Snapshots
    patience: Patience
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@cache
def build() -> Parts:
    """Put the function together, once per cold start."""
    settings = PressureSettings.from_environ(os.environ)
    brokers = BrokerSettings.from_environ(os.environ)
    cloudwatch = aws.client("cloudwatch", answer_seconds=ANSWER_SECONDS, tries=TRIES, region=settings.aws_region)
    return Parts(
        settings,
        {consumer: Backlog(brokers, settings.raw_events_topic, consumer) for consumer in CONSUMERS},
        Disks(cloudwatch, settings.kafka_cluster, settings.kafka_brokers),
        Snapshots(valkey.Cache(partial(valkey.connect, CacheSettings.from_environ(os.environ)))),
        Patience(settings.hold_seconds),
    )


@metrics.log_metrics
def handler(_event: object, _context: object) -> dict[str, Any]:
    """Measure once, and say what follows from it."""
    return watch(build())


def watch(parts: Parts) -> dict[str, Any]:
    """Publish the share to refuse; without the brokers nothing is published, and the last word ends with its time."""
    waits = parts.patience.persist(
        lambda: {consumer: ask_wait(backlog, parts) for consumer, backlog in parts.backlogs.items()}
    )
    now = parts.now()
    disk = ask_disk(parts, now)
    used = max(waits.values()) / parts.settings.buffer_seconds
    before = read_before(parts, now)
    share = settle_share(measure_strain(used, disk), before)
    report(waits, used, disk, share)
    if name_level(share) != name_level(before):
        logger.warning("the pressure changes", extra={"share": share, "before": before, "used": used, "disk": disk})
    parts.snapshots.publish(share, now, parts.settings.snapshot_seconds)
    return {"share": share, "used": used}


def ask_wait(backlog: Backlog, parts: Parts) -> float:
    """Ask how long the oldest record has waited for a consumer, in seconds."""
    unread, now = backlog.ask_unread(), parts.now()

    def is_older(age: float) -> bool:
        return holds_older(unread, backlog.ask_since(now - timedelta(seconds=age), unread))

    buffer = parts.settings.buffer_seconds
    return find_age(is_older, LONGEST * buffer, EXACT_TO * buffer) if unread else 0.0


def ask_disk(parts: Parts, now: datetime) -> float | None:
    """Ask how full the fullest disk is; without an answer the age of what waits decides alone, and somebody is told."""
    try:
        return parts.disks.ask(now)
    except Retryable as error:
        logger.warning("the disks are not known", extra={"reason": str(error)})
        return None


def read_before(parts: Parts, now: datetime) -> float:
    """Read which share was to be refused until now."""
    try:
        return parts.snapshots.read(now).share
    except UnknownPressureError as error:
        logger.info("no share was published before", extra={"reason": str(error)})
        return 0.0


def report(waits: dict[str, float], used: float, disk: float | None, share: float) -> None:
    """Say what was measured, and what follows."""
    metrics.add_metric("BufferUsed", MetricUnit.NoUnit, used)
    metrics.add_metric("RefusedShare", MetricUnit.NoUnit, share)
    metrics.add_metric("PressureLevel", MetricUnit.NoUnit, name_level(share))
    metrics.add_metric("DiskUnknown", MetricUnit.Count, int(disk is None))
    if disk is not None:
        metrics.add_metric("DiskPercent", MetricUnit.Percent, disk)
    for consumer, seconds in waits.items():
        with single_metric("OldestUnreadSeconds", MetricUnit.Seconds, seconds) as metric:
            metric.add_dimension("consumer", consumer)
