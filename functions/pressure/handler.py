"""Pressure: turns the age of what archive has not read and the usage of the disks into a share of requests to refuse.

ask the brokers for unread records and their age -> ask CloudWatch for the disks -> settle the share -> publish it
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
from sluice.edge.retry import Retry
from sluice.edge.settings import BrokerSettings, CacheSettings, PressureSettings
from sluice.edge.topic_offsets import TopicOffsets

logger = Logger()


@cache
def build() -> tuple[Gauge, Snapshots, int]:
    """Build the function, once per cold start."""
    settings = PressureSettings.from_environ(os.environ)
    brokers = BrokerSettings.from_environ(os.environ)
    cloudwatch = aws.client("cloudwatch", answer_seconds=ANSWER_SECONDS, tries=TRIES, region=settings.aws_region)
    gauge = Gauge(
        {one.name: TopicOffsets(brokers, settings.raw_events_topic, one.name) for one in ACCOUNTED},
        Disks(cloudwatch, settings.kafka_cluster, settings.kafka_brokers),
        settings.buffer_seconds,
        Retry(settings.hold_seconds),
        lambda: datetime.now(UTC),
        logger,
    )
    snapshots = Snapshots(valkey.Cache(partial(valkey.connect, CacheSettings.from_environ(os.environ))))
    return gauge, snapshots, settings.snapshot_seconds


@metrics.log_metrics
def handler(_event: object, _context: object) -> dict[str, Any]:
    """Measure once, and return the result."""
    return watch(*build())


def watch(gauge: Gauge, snapshots: Snapshots, snapshot_seconds: int) -> dict[str, Any]:
    """Publish the share to refuse; if the brokers do not answer, nothing is published and the last share expires."""
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
    """Read the share that was published before."""
    try:
        return snapshots.read(now).share
    except UnknownPressureError as error:
        logger.info("no share was published before", extra={"reason": str(error)})
        return 0.0


def report(measured: Measured, share: float) -> None:
    """Record the measured values, and the share."""
    record(BUFFER_USED, measured.used)
    record(REFUSED_SHARE, share)
    record(PRESSURE_LEVEL, name_level(share))
    record(DISK_UNKNOWN, int(measured.disk is None))
    if measured.disk is not None:
        record(DISK_PERCENT, measured.disk)
    for consumer, seconds in measured.waits.items():
        record_apart(OLDEST_UNREAD, seconds, consumer=consumer)
