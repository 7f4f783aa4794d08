"""The latest message of each incident that a destination took, so that none is sent twice or out of order.

SQS drops repeats of five minutes. What comes later is a process that died between the destination's answer and its
report, or a dead letter that is sent again. The attempts of a delivery are counted here too: its receives count what
we could not do ourselves as well. This memory is a help, and not needed to deliver.
"""

import hashlib

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.errors import Retryable
from sluice.core.notify.deliveries import Delivery
from sluice.edge.bucket import Bucket

logger = Logger()

ANSWER_SECONDS = 1.5

FOLDER = "notified/"
MOST_HAPPENINGS = 20
"""An incident has few messages; of one with many, the latest are remembered."""


class Latest(msgspec.Struct, frozen=True):
    """What is remembered of an incident at a destination."""

    sequence: int = 0
    """Of the latest message that was taken; 0 if there is none."""
    trying: str = ""
    """The id in the queue of the delivery that is tried. One that is sent again has another, and attempts anew."""
    attempts: int = 0
    """How many attempts of that one failed."""
    happenings: dict[int, str] = {}
    """What was said under each number."""

    def has_taken(self, delivery: Delivery) -> bool:
        """Return whether the latest message that was taken is this one."""
        return self.sequence == delivery.message.sequence and not self._is_of_another_course(delivery)

    def is_past(self, delivery: Delivery) -> bool:
        """Return whether a later message was taken before this one."""
        return self.sequence > delivery.message.sequence and not self._is_of_another_course(delivery)

    def after(self, delivery: Delivery) -> "Latest":
        """Return what is remembered once a delivery was taken."""
        message = delivery.message
        known = {number: said for number, said in self.happenings.items() if number < message.sequence}
        kept = sorted({**known, message.sequence: message.happening}.items())[-MOST_HAPPENINGS:]
        return Latest(message.sequence, happenings=dict(kept))

    def _is_of_another_course(self, delivery: Delivery) -> bool:
        """Return whether something else was said under its number.

        A database that was restored gives numbers again that it has given before.
        """
        message = delivery.message
        return self.happenings.get(message.sequence, message.happening) != message.happening

    def attempts_of(self, message_id: str) -> int:
        """Return how many attempts of a delivery failed."""
        return self.attempts if self.trying == message_id else 0


class Told:
    """One object for each incident and destination. S3 deletes it after days."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def find(self, delivery: Delivery) -> Latest | None:
        """Return what is remembered; None if S3 does not say."""
        try:
            found = self._bucket.find(_name(delivery))
            return Latest() if found is None else msgspec.json.decode(found[0], type=Latest)
        except (Retryable, msgspec.DecodeError) as error:
            # A message that comes twice is better than none.
            logger.warning("what a destination took is not known", object=_name(delivery), reason=str(error))
            return None

    def note(self, delivery: Delivery, latest: Latest) -> None:
        """Remember what is the latest now; Retryable if S3 fails."""
        self._bucket.put(_name(delivery), msgspec.json.encode(latest), "application/json")


def _name(delivery: Delivery) -> str:
    incident = hashlib.sha256(delivery.message.incident_id.encode()).hexdigest()
    return f"{FOLDER}{delivery.destination_id}/{incident}.json"
