"""What notify answers: which messages of a batch stay in their queue."""

from typing import Any

import msgspec

from functions.notify.handler import notify
from tests.support.alert_messages import OPENED, make_destination, make_message
from tests.support.played_notify import MESSAGES, PlayedNotify


def record(body: str, message_id: str) -> dict[str, Any]:
    return {
        "messageId": message_id,
        "receiptHandle": f"receipt of {message_id}",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "2", "MessageGroupId": "4f0c"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:us-east-1:000000000000:{MESSAGES}",
        "awsRegion": "us-east-1",
    }


def batch(*sequences: int) -> dict[str, Any]:
    bodies = [msgspec.json.encode(make_message(sequence=each)).decode() for each in sequences]
    return {"Records": [record(body, f"m-{sequence}") for body, sequence in zip(bodies, sequences, strict=True)]}


def test_messages_that_are_routed_leave_their_queue() -> None:
    played = PlayedNotify(make_destination())

    assert notify(batch(1, 2), played.notifying, OPENED.at) == {"batchItemFailures": []}
    assert played.deliveries.groups == ["ops", "ops"]


def test_those_behind_one_that_waits_stay_with_it() -> None:
    played = PlayedNotify(make_destination())
    played.deliveries.away = True

    assert notify(batch(1, 2, 3), played.notifying, OPENED.at) == {
        "batchItemFailures": [{"itemIdentifier": f"m-{sequence}"} for sequence in (1, 2, 3)]
    }
    # Only the first was tried, for the second time.
    assert played.messages.paused == [("receipt of m-1", 5)]
