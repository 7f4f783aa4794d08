"""Pressure: how long events wait for their consumers and how full the disks are become the share that ingest refuses.

ask the brokers what is unread and since when -> ask CloudWatch for the disks -> settle the share -> publish it
"""

import os
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from aws_lambda_powertools import Logger

from sluice.core.consumers import ACCOUNTED
from sluice.core.ingest.pressure import UnknownPressureError, measure_strain, name_level, settle_share
from sluice.core.metrics import BUFFER_USED, DISK_PERCENT, DISK_UNKNOWN, OLDEST_UNREAD, PRESSURE_LEVEL, REFUSED_SHARE
from sluice.edge import aws
from sluice.edge import cache as valkey
from sluice.edge.ingest.disks import ANSWER_SECONDS, TRIES, Disks
from sluice.edge.ingest.gauge import Gauge, Measured
from sluice.edge.ingest.pressure import Snapshots
from sluice.edge.metrics import metrics, record, record_apart
from sluice.edge.patience import Patience
from sluice.edge.settings import BrokerSettings, CacheSettings, PressureSettings
from sluice.edge.topic_offsets import TopicOffsets

logger = Logger()


@cache
def build() -> tuple[Gauge, Snapshots, int]:
    """Put the function together, once per cold start."""
    settings = PressureSettings.from_environ(os.environ)
    brokers = BrokerSettings.from_environ(os.environ)
    cloudwatch = aws.client("cloudwatch", answer_seconds=ANSWER_SECONDS, tries=TRIES, region=settings.aws_region)
    gauge = Gauge(
        {one.name: TopicOffsets(brokers, settings.raw_events_topic, one.name) for one in ACCOUNTED},
        Disks(cloudwatch, settings.kafka_cluster, settings.kafka_brokers),
        settings.buffer_seconds,
        Patience(settings.hold_seconds),
        lambda: datetime.now(UTC),
        logger,
    )
    snapshots = Snapshots(valkey.Cache(partial(valkey.connect, CacheSettings.from_environ(os.environ))))
    return gauge, snapshots, settings.snapshot_seconds


@metrics.log_metrics
def handler(_event: object, _context: object) -> dict[str, Any]:
    """Measure once, and say what follows from it."""
    return watch(*build())


def watch(gauge: Gauge, snapshots: Snapshots, snapshot_seconds: int) -> dict[str, Any]:
    """Publish the share to refuse; without the brokers nothing is published, and the last share ends with its time."""
    measured = gauge.measure()
    before = read_before(snapshots, measured.at)
    share = settle_share(measure_strain(measured.used, measured.disk), before)
    report(measured, share)
    if name_level(share) != name_level(before):
        told = {"share": share, "before": before, "used": measured.used, "disk": measured.disk}
        logger.warning("the pressure changes", extra=told)
    snapshots.publish(share, measured.at, snapshot_seconds)
    return {"share": share, "used": measured.used}


def read_before(snapshots: Snapshots, now: datetime) -> float:
    """Read which share was to be refused until now."""
    try:
        return snapshots.read(now).share
    except UnknownPressureError as error:
        logger.info("no share was published before", extra={"reason": str(error)})
        return 0.0


def report(measured: Measured, share: float) -> None:
    """Record what was measured, and what follows."""
    record(BUFFER_USED, measured.used)
    record(REFUSED_SHARE, share)
    record(PRESSURE_LEVEL, name_level(share))
    record(DISK_UNKNOWN, int(measured.disk is None))
    if measured.disk is not None:
        record(DISK_PERCENT, measured.disk)
    for consumer, seconds in measured.waits.items():
        record_apart(OLDEST_UNREAD, seconds, consumer=consumer)
