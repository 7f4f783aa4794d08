"""The two SNS topics of alert messages."""

from collections.abc import Sequence
from typing import Any

import msgspec

from sluice.core.alerts.messages import AlertMessage
from sluice.edge import aws

ANSWER_SECONDS, TRIES = 2, 2
MOST_TOGETHER = 10
"""SNS takes so many messages in a call."""


class AlertTopics(msgspec.Struct, frozen=True):
    """Publishes on both topics."""

    client: Any
    in_order: str
    topic: str

    def publish(self, messages: Sequence[AlertMessage]) -> set[int]:
        """Publish at most ten messages of different incidents; return the places of those that both topics took.

        Messages of one incident must not be in one call: SNS may refuse the first and take the second.
        """
        with aws.asking("SNS"):
            refused = self._publish(self.in_order, messages, ordered=True)
            refused |= self._publish(self.topic, messages, ordered=False)
        return set(range(len(messages))) - refused

    def _publish(self, topic: str, messages: Sequence[AlertMessage], *, ordered: bool) -> set[int]:
        entries = [_entry(number, message, ordered=ordered) for number, message in enumerate(messages)]
        answer = self.client.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
        return {int(each["Id"]) for each in answer.get("Failed", ())}


def _entry(number: int, message: AlertMessage, *, ordered: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "Id": str(number),
        "Message": msgspec.json.encode(message).decode(),
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value}
            for name, value in (
                ("fleet", message.fleet_id),
                ("severity", message.severity),
                ("happening", message.happening),
            )
        },
    }
    if ordered:
        entry["MessageGroupId"] = message.incident_id
        entry["MessageDeduplicationId"] = f"{message.incident_id}-{message.sequence}"
    return entry
