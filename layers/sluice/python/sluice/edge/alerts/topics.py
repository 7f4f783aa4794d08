"""The two SNS topics of alert messages."""

from collections.abc import Sequence
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.edge import aws

logger = Logger()

ANSWER_SECONDS, TRIES = 2, 2
TOGETHER_SECONDS = 2 * TRIES * (aws.CONNECT_SECONDS + ANSWER_SECONDS)
"""How long publishing some messages may take: a call to each topic, with its tries."""
MOST_TOGETHER = 10
"""SNS takes so many messages in a call."""
REFUSES_FOR_GOOD = frozenset({"InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid"})
"""What SNS says of a message that it can never take. Its other reasons are about the topic, a key or a permission."""


class Waiting(msgspec.Struct, frozen=True):
    """A message as it is stored: whatever release wrote it, it is sent as it is."""

    incident_id: str
    sequence: int
    fleet: str
    severity: str
    happening: str
    text: str


class Answers(msgspec.Struct, frozen=True):
    """The places of messages that both topics took, and of those that one can never take."""

    taken: frozenset[int]
    refused: frozenset[int]


class AlertTopics(msgspec.Struct, frozen=True):
    """Publishes on both topics."""

    client: Any
    in_order: str
    topic: str

    def publish(self, messages: Sequence[Waiting]) -> Answers:
        """Publish at most ten messages of different incidents.

        Messages of one incident must not be in one call: SNS may refuse the first and take the second.
        """
        with aws.asking("SNS"):
            in_order = self._publish(self.in_order, messages, ordered=True)
            failed = in_order + self._publish(self.topic, messages, ordered=False)
        places = {place for place, _ in failed}
        # What failed for another reason too is tried again first.
        later = {place for place, code in failed if code not in REFUSES_FOR_GOOD}
        return Answers(frozenset({*range(len(messages))} - places), frozenset(places - later))

    def _publish(self, topic: str, messages: Sequence[Waiting], *, ordered: bool) -> list[tuple[int, str]]:
        entries = [_entry(number, message, ordered=ordered) for number, message in enumerate(messages)]
        answer = self.client.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
        failed = [(int(each["Id"]), str(each.get("Code", ""))) for each in answer.get("Failed", ())]
        for place, code in failed:
            one = messages[place]
            logger.warning("SNS fails a message", incident_id=one.incident_id, sequence=one.sequence, code=code)
        return failed


def _entry(number: int, message: Waiting, *, ordered: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "Id": str(number),
        "Message": message.text,
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value}
            for name, value in (
                ("fleet", message.fleet),
                ("severity", message.severity),
                ("happening", message.happening),
            )
        },
    }
    if ordered:
        entry["MessageGroupId"] = message.incident_id
        entry["MessageDeduplicationId"] = f"{message.incident_id}-{message.sequence}"
    return entry
