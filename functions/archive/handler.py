"""Archive: accepted events become rows of the raw table.

decode -> row with the event as sent -> pack -> delivery stream; only what was not taken is tried again
"""

import os
import secrets
import time
from functools import cache
from typing import Any

import boto3
import msgspec
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from sluice.core.contracts import Contracts
from sluice.core.errors import Poison
from sluice.core.packing import pack_rows
from sluice.core.records import Origin, read_records, report_failures
from sluice.core.rows import Row, make_row
from sluice.edge.delivery import Delivery
from sluice.edge.schemas import load_contracts
from sluice.edge.settings import ArchiveSettings

logger = Logger()
metrics = Metrics()


class Parts(msgspec.Struct, frozen=True):
    """What a warm function holds."""

    contracts: Contracts
    delivery: Delivery


@cache
def build() -> Parts:
    """Put the function together, once per cold start."""
    settings = ArchiveSettings.from_environ(os.environ)
    return Parts(load_contracts(), Delivery(boto3.client("firehose"), settings.delivery_stream, back_off))


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Archive one batch and name what must come again."""
    return archive(event, build())


def archive(event: dict[str, Any], parts: Parts) -> dict[str, Any]:
    """Deliver a batch's rows; a record that failed is the first of its partition to come again."""
    rows: list[tuple[Origin, Row]] = []
    failed: set[Origin] = set()
    for record in read_records(event):
        try:
            rows.append((record.origin, make_row(record, parts.contracts)))
        except Poison as poison:
            # Comes again until its age sends the batch to the failure bucket: late, but not lost.
            failed.add(record.origin)
            logger.warning("poison record", origin=msgspec.to_builtins(record.origin), reason=str(poison))
    undelivered = parts.delivery.deliver(list(pack_rows(rows)))
    for one in undelivered:
        failed.update(one.pack.origins)
    if undelivered:
        logger.warning("rows were not taken", packs=len(undelivered), reason=undelivered[0].reason)
    metrics.add_metric("RowsArchived", MetricUnit.Count, len(rows) - sum(len(one.pack.origins) for one in undelivered))
    metrics.add_metric("RecordsFailed", MetricUnit.Count, len(failed))
    return report_failures(failed)


def back_off(attempt: int) -> None:
    """Wait before sending again: longer each time, and never in step with the other consumers."""
    time.sleep(min(0.1 * 2**attempt, 2) * (0.5 + secrets.randbelow(1000) / 1000))
