"""What notify reports of its attempts, from the queue into the table of deliveries."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.alerts.messages import Attempt
from sluice.core.metrics import ATTEMPTS_RECORDED
from sluice.edge.database import Database
from sluice.edge.metrics import record

logger = Logger()

_KEEP = """
    INSERT INTO delivery (incident_id, sequence, destination_id, attempt, outcome, status, detail, at, seconds)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT DO NOTHING
"""
MOST_DETAIL = 500


def record_attempts(database: Database, event: Mapping[str, Any]) -> dict[str, Any]:
    """Store the reports of a batch; name those that cannot be read: after some tries their queue gives them up."""
    attempts: list[Attempt] = []
    failed: list[str] = []
    for message in event["Records"]:
        try:
            attempts.append(msgspec.json.decode(message["body"], type=Attempt))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            logger.exception("a report of notify cannot be read")
            failed.append(message["messageId"])
    if attempts:
        _keep(database, attempts)
    record(ATTEMPTS_RECORDED, len(attempts))
    return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}


def _keep(database: Database, attempts: Sequence[Attempt]) -> None:
    rows = [
        (
            each.incident_id,
            each.sequence,
            each.destination_id,
            each.attempt,
            each.outcome,
            each.status,
            each.detail[:MOST_DETAIL].replace("\0", ""),
            each.at,
            each.seconds,
        )
        for each in attempts
    ]
    with database.use() as connection, connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(_KEEP, rows)
