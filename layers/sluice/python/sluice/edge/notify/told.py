"""The latest message of each incident that a destination took, so that none is told twice or out of order.

SQS drops repeats of five minutes. What comes later is a process that died between the destination's answer and its
report, or a dead letter that is sent again. This memory is a help, and not needed to deliver.
"""

import hashlib

import msgspec

from sluice.core.errors import Retryable
from sluice.core.notify.deliveries import Delivery
from sluice.edge.bucket import Bucket

ANSWER_SECONDS = 1.5

FOLDER = "notified/"


class Latest(msgspec.Struct, frozen=True):
    """What is remembered of an incident at a destination."""

    sequence: int


class Told:
    """One object for each incident and destination. S3 deletes it after days."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def find(self, delivery: Delivery) -> int:
        """Return the sequence of the latest message; 0 if there is none, or if S3 does not say."""
        try:
            found = self._bucket.find(_name(delivery))
            return 0 if found is None else msgspec.json.decode(found[0], type=Latest).sequence
        except (Retryable, msgspec.DecodeError):
            # A message that comes twice is better than none.
            return 0

    def note(self, delivery: Delivery) -> None:
        """Remember a message; Retryable if S3 fails."""
        self._bucket.put(_name(delivery), msgspec.json.encode(Latest(delivery.message.sequence)), "application/json")


def _name(delivery: Delivery) -> str:
    incident = hashlib.sha256(delivery.message.incident_id.encode()).hexdigest()
    return f"{FOLDER}{delivery.destination_id}/{incident}.json"
