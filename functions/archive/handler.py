"""Archive: accepted events become rows of the raw table.

decode -> row with the event as sent -> pack -> delivery stream; only what was not taken is tried again.
A record that can never become a row goes to the dead letters, and its neighbours go on.
"""

import os
import secrets
import time
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
import msgspec
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from sluice.core.contracts import Contracts
from sluice.core.errors import Poison
from sluice.core.limits import Limits
from sluice.core.packing import pack_rows
from sluice.core.quarantine import check_budget
from sluice.core.records import KafkaRecord, Origin, comes_again, read_records, report_failures
from sluice.core.rows import Row, make_row
from sluice.edge.broker import Broker
from sluice.edge.delivery import Delivery
from sluice.edge.quarantine import Quarantine
from sluice.edge.schemas import load_contracts
from sluice.edge.settings import ArchiveSettings, BrokerSettings

logger = Logger()
metrics = Metrics()

LIMITS = Limits()


class Parts(msgspec.Struct, frozen=True):
    """What a warm function holds."""

    contracts: Contracts
    delivery: Delivery
    quarantine: Quarantine


@cache
def build() -> Parts:
    """Put the function together, once per cold start."""
    settings = ArchiveSettings.from_environ(os.environ)
    delivery = Delivery(boto3.client("firehose"), settings.delivery_stream, back_off)
    broker = Broker(BrokerSettings.from_environ(os.environ))
    quarantine = Quarantine(broker, settings.dead_letter_topic, "archive", LIMITS.max_letter)
    return Parts(load_contracts(), delivery, quarantine)


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Archive one batch and name what must come again."""
    return archive(event, build(), datetime.now(UTC))


def archive(event: dict[str, Any], parts: Parts, now: datetime) -> dict[str, Any]:
    """Deliver a batch's rows; a record that failed is the first of its partition to come again."""
    rows: list[tuple[Origin, Row]] = []
    poison: list[tuple[KafkaRecord, Poison]] = []
    for record in read_records(event):
        try:
            rows.append((record.origin, make_row(record, parts.contracts, LIMITS)))
        except Poison as error:
            poison.append((record, error))
    check_budget(len(poison), len(rows) + len(poison))
    undelivered = parts.delivery.deliver(list(pack_rows(rows)))
    failed = {origin for one in undelivered for origin in one.pack.origins}
    if undelivered:
        logger.warning("rows were not taken", packs=len(undelivered), reason=undelivered[0].reason)
    # What lies behind a failure comes again with it: its letter is written then, and not at every try.
    failed |= parts.quarantine.put_aside([one for one in poison if not comes_again(one[0].origin, failed)], now)
    metrics.add_metric("RowsArchived", MetricUnit.Count, len(rows) - sum(len(one.pack.origins) for one in undelivered))
    metrics.add_metric("RecordsQuarantined", MetricUnit.Count, len(poison))
    metrics.add_metric("RecordsFailed", MetricUnit.Count, len(failed))
    return report_failures(failed)


def back_off(attempt: int) -> None:
    """Wait before sending again: longer each time, and never in step with the other consumers."""
    time.sleep(min(0.1 * 2**attempt, 2) * (0.5 + secrets.randbelow(1000) / 1000))
