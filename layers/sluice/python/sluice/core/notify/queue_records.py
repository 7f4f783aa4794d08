"""Records of a queue as Lambda passes them to a function."""

from collections.abc import Iterable
from typing import Any

import msgspec


class Attributes(msgspec.Struct, frozen=True):
    """What SQS says of a message."""

    receives: int = msgspec.field(name="ApproximateReceiveCount", default=1)
    """How often it was given to a function, this time included."""


class QueueRecord(msgspec.Struct, frozen=True):
    """One message."""

    message_id: str = msgspec.field(name="messageId")
    receipt: str = msgspec.field(name="receiptHandle")
    body: str
    source: str = msgspec.field(name="eventSourceARN")
    attributes: Attributes = Attributes()

    @property
    def queue(self) -> str:
        """The name of its queue."""
        return self.source.rpartition(":")[2]


class _Batch(msgspec.Struct, frozen=True):
    records: tuple[QueueRecord, ...] = msgspec.field(name="Records")


def read_queue_records(event: dict[str, Any]) -> tuple[QueueRecord, ...]:
    """Read the messages of a batch, in their order."""
    # Counts are texts there.
    return msgspec.convert(event, _Batch, strict=False).records


def report_failed(failed: Iterable[QueueRecord]) -> dict[str, Any]:
    """Name the messages that stay in the queue."""
    return {"batchItemFailures": [{"itemIdentifier": each.message_id} for each in failed]}
