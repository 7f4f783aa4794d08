"""The two ends of an invocation by an SQS event source: messages as an event, an answer as what stays in the queue."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

#: What SQS's API says of a message, as an event has it.
_ATTRIBUTES = (
    "ApproximateFirstReceiveTimestamp",
    "ApproximateReceiveCount",
    "MessageDeduplicationId",
    "MessageGroupId",
    "SenderId",
    "SentTimestamp",
    "SequenceNumber",
)

Message = Mapping[str, Any]
"""A message as SQS's API returns it."""


def event(messages: Sequence[Message], queue_arn: str, region: str) -> bytes:
    """The event a function gets."""
    return msgspec.json.encode({"Records": [_described(each, queue_arn, region) for each in messages]})


def _described(message: Message, queue_arn: str, region: str) -> dict[str, Any]:
    known = message.get("Attributes", {})
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": {name: known[name] for name in _ATTRIBUTES if name in known},
        "messageAttributes": {
            name: {"stringValue": each.get("StringValue"), "dataType": each["DataType"]}
            for name, each in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    }


def unprocessed(answer: bytes, messages: Sequence[Message]) -> list[Message]:
    """What stays in the queue by an answer with partial failures.

    No answer, an empty one, or an empty or null list is success. An answer of another shape, or one that names a
    message which is not in the batch, fails the whole batch.
    """
    try:
        decoded = msgspec.json.decode(answer) if answer.strip() else None
    except msgspec.DecodeError:
        return list(messages)
    if not isinstance(decoded, Mapping):
        return [] if decoded is None else list(messages)
    failures = decoded.get("batchItemFailures")
    if failures is None or failures == []:
        return []
    if not isinstance(failures, list) or not all(isinstance(each, Mapping) for each in failures):
        return list(messages)
    named = {each.get("itemIdentifier") for each in failures}
    if not named <= {each["MessageId"] for each in messages}:
        return list(messages)
    return [each for each in messages if each["MessageId"] in named]
