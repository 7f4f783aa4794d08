"""Queues of SQS, as notify writes to them and holds what it received from them."""

from collections.abc import Mapping
from typing import Any

from sluice.edge import aws

ANSWER_SECONDS = 1.5


class Queue:
    """One queue."""

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url

    @property
    def name(self) -> str:
        """Its name."""
        return self._url.rpartition("/")[2]

    def send(self, body: str) -> None:
        """Send a message without an order."""
        with aws.asking("SQS"):
            self._client.send_message(QueueUrl=self._url, MessageBody=body)

    def send_in_order(
        self, body: str, group: str, deduplication_id: str, attributes: Mapping[str, str] | None = None
    ) -> None:
        """Send a message behind the earlier ones of its group; once, if it is sent again within five minutes."""
        described = {
            name: {"DataType": "String", "StringValue": text} for name, text in (attributes or {}).items() if text
        }
        with aws.asking("SQS"):
            self._client.send_message(
                QueueUrl=self._url,
                MessageBody=body,
                MessageGroupId=group,
                MessageDeduplicationId=deduplication_id,
                MessageAttributes=described,
            )

    def pause(self, receipt: str, seconds: int) -> None:
        """Let a received message come again after so many seconds; its group waits with it."""
        with aws.asking("SQS"):
            self._client.change_message_visibility(QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=seconds)
