"""The queue of notifications that were given up, and the queues that they go back to."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cli.aws import open_client
from cli.stages import CommandError, Target, read_stack
from sluice.core.errors import Ahead, Poison
from sluice.core.notify.deliveries import Delivery, find_destination, read_delivery, read_message

LETTERS, MESSAGES, DELIVERIES = (f"notification-{name}.fifo" for name in ("letters", "messages", "deliveries"))
HELD_SECONDS = 120
"""For how long others do not see what a command looks at, if it dies."""
AT_ONCE = 10
"""SQS gives no more of a destination until these are gone."""


@dataclass(frozen=True)
class Letter:
    """One notification that was given up."""

    body: str
    message_id: str
    receipt: str
    group: str
    reason: str
    detail: str
    destination_id: str
    """Nothing: a message about an incident that could not be routed."""
    delivery: Delivery | None
    """None: such a message, or a delivery that cannot be read here."""
    ahead: str = ""
    """What a later release than this one wrote."""

    def describe(self) -> dict[str, Any]:
        """Write it for people and programs."""
        message = self.delivery.message if self.delivery else None
        return {
            "destination_id": self.destination_id or None,
            "incident_id": message.incident_id if message else None,
            "sequence": message.sequence if message else None,
            "happening": message.happening if message else None,
            "at": message.at.isoformat() if message else None,
            "reason": self.reason,
            "detail": self.detail,
        }


class Letters:
    """The dead letters of a stage's notifications, as an operator's credentials reach them."""

    def __init__(self, target: Target) -> None:
        if target.stage:
            self._client, stage = open_client(target, "sqs"), target.stage
        else:
            import boto3

            stack = read_stack(target.dir)
            stage = stack["stage"]
            self._client = boto3.client(
                "sqs",
                stack["region"],
                endpoint_url=stack["aws"],
                aws_access_key_id=stack["admin"]["access_key"],
                aws_secret_access_key=stack["admin"]["secret_key"],
            )
        self._prefix = f"sluice-{stage}-"

    def count(self) -> int:
        """Return how many there are."""
        url = self._url(LETTERS)
        wanted = ["ApproximateNumberOfMessages"]
        answer = self._ask(lambda: self._client.get_queue_attributes(QueueUrl=url, AttributeNames=wanted))
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def look(self) -> Iterator[Letter]:
        """Yield the first of each destination; they are held until `release` or `remove`."""
        url = self._url(LETTERS)
        while True:
            answer = self._ask(
                lambda: self._client.receive_message(
                    QueueUrl=url,
                    MaxNumberOfMessages=AT_ONCE,
                    VisibilityTimeout=HELD_SECONDS,
                    AttributeNames=["All"],
                    MessageAttributeNames=["All"],
                )
            )
            if not answer.get("Messages"):
                return
            yield from map(_read, answer["Messages"])

    def release(self, letter: Letter) -> None:
        """Let others see a letter again."""
        url = self._url(LETTERS)
        self._ask(
            lambda: self._client.change_message_visibility(
                QueueUrl=url, ReceiptHandle=letter.receipt, VisibilityTimeout=0
            )
        )

    def send_again(self, letter: Letter) -> None:
        """Put a letter back into the queue that it came from. If this dies before `remove`, it is sent twice.

        One of a later release is refused: what this one does not know may belong elsewhere.
        """
        if letter.ahead:
            raise CommandError(
                f"a notification is of a later release: {letter.ahead}."
                " Those before it were sent again. Update this command, and send the others in two minutes."
            )
        url = self._url(DELIVERIES if letter.destination_id else MESSAGES)
        self._ask(
            lambda: self._client.send_message(
                QueueUrl=url,
                MessageBody=letter.body,
                MessageGroupId=letter.group,
                # Its own id may still be among those of five minutes.
                MessageDeduplicationId=f"again-{letter.message_id}",
            )
        )

    def remove(self, letter: Letter) -> None:
        """Delete a letter."""
        url = self._url(LETTERS)
        self._ask(lambda: self._client.delete_message(QueueUrl=url, ReceiptHandle=letter.receipt))

    def _url(self, name: str) -> str:
        answer = self._ask(lambda: self._client.get_queue_url(QueueName=f"{self._prefix}{name}"))
        return str(answer["QueueUrl"])

    def _ask(self, ask: Callable[[], Any]) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return ask()
        except (BotoCoreError, ClientError) as error:
            raise CommandError(f"SQS did not answer: {error}") from error


def _read(message: dict[str, Any]) -> Letter:
    said = {name: each.get("StringValue", "") for name, each in message.get("MessageAttributes", {}).items()}
    body = message["Body"]
    destination_id = find_destination(body)
    delivery, ahead = None, ""
    try:
        if destination_id:
            delivery = read_delivery(body)
        else:
            read_message(body)
    except Ahead as error:
        ahead = str(error)
    except Poison:
        pass  # What no one could read can be listed, and sent again to a release that can.
    return Letter(
        body=body,
        message_id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        group=message["Attributes"]["MessageGroupId"],
        reason=said.get("reason", "never_ended"),
        detail=said.get("detail", "It was received too often: notify died, or could not reach AWS."),
        destination_id=destination_id,
        delivery=delivery,
        ahead=ahead,
    )
