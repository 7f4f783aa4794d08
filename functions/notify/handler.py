"""Notify: messages about incidents go to the destinations that people chose, from outside our network.

a message -> a delivery for each destination; a delivery -> one attempt -> done, again later, or a dead letter
an admin's test -> one attempt -> what came of it
"""

import os
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec

from sluice.core.notify.addresses import read_loopback
from sluice.core.notify.destination_test import DestinationTestRequest
from sluice.core.notify.queue_records import read_queue_records, report_failed
from sluice.edge import aws
from sluice.edge.bucket import Bucket
from sluice.edge.metrics import metrics
from sluice.edge.notify import queues, secrets, told
from sluice.edge.notify.attempting import Attempting
from sluice.edge.notify.destination_tester import DestinationTester
from sluice.edge.notify.destinations import make_destinations
from sluice.edge.notify.notifying import Notifying
from sluice.edge.notify.posting import Poster
from sluice.edge.settings import NotifySettings

TEST, RESULT = "test", "result"
"""The member of an event that asks for a test, and that of its answer; batches of queues have neither."""


@cache
def build() -> Notifying:
    """Build the function, once per cold start."""
    settings = NotifySettings.from_environ(os.environ)
    sqs = aws.client("sqs", answer_seconds=queues.ANSWER_SECONDS)
    s3 = aws.client("s3", answer_seconds=told.ANSWER_SECONDS)
    keeper = aws.client("secretsmanager", answer_seconds=secrets.ANSWER_SECONDS)
    return Notifying(
        destinations=make_destinations(settings),
        attempting=Attempting(secrets.Secrets(keeper), Poster(), read_loopback(settings.notify_loopback)),
        told=told.Told(Bucket(s3, settings.control_bucket)),
        messages=queues.Queue(sqs, settings.messages_queue),
        deliveries=queues.Queue(sqs, settings.deliveries_queue),
        letters=queues.Queue(sqs, settings.letters_queue),
        attempts=queues.Queue(sqs, settings.attempts_queue),
    )


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Handle a batch of one of the two queues, or a test that admin asks for."""
    notifying, now = build(), datetime.now(UTC)
    if TEST in event:
        tester = DestinationTester(notifying.destinations, notifying.attempting)
        asked = msgspec.convert(event[TEST], DestinationTestRequest)
        return {RESULT: msgspec.to_builtins(tester.test(asked, now))}
    return notify(event, notifying, now)


def notify(event: dict[str, Any], notifying: Notifying, now: datetime) -> dict[str, Any]:
    """Handle messages in their order; those behind one that is not done wait with it."""
    queued = read_queue_records(event)
    done = 0
    while done < len(queued) and notifying.handle(queued[done], now):
        done += 1
    return report_failed(queued[done:])
