"""The buckets as queues: what lies under some prefixes waits, and is moved away once all of it is dead letters.

read -> post every letter -> copy to salvaged/ -> delete. Nothing else remembers anything: what a run leaves undone
between two of these is done again by the next one, with the same letters.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from sluice.core.errors import Retryable
from sluice.core.letters import Letter
from sluice.core.messages import Message
from sluice.core.salvage import EXPIRED, Wreck, read_batch, read_output
from sluice.edge.broker import Broker

SALVAGED = "salvaged/"
# The brokers take a few at a time from whoever comes with very many.
MOST_LETTERS, MOST_BYTES = 500, 4 * 1024 * 1024
# Of 1,000 objects each. With more than that waiting, the oldest of all may not be among those that are seen.
MOST_PAGES = 100


class Leftover(msgspec.Struct, frozen=True, order=True):
    """An object that waits, since when, and which of the heaps it lies on."""

    since: datetime
    heap: int
    key: str


class Heap(msgspec.Struct, frozen=True):
    """Where leftovers of one form lie, and how their letters are read."""

    bucket: str
    prefix: str
    read: Callable[[Any, Wreck, int], Iterator[Letter]]
    """Of an object's body, which is a stream."""


class Unposted(Retryable):
    """The brokers did not take every letter; those they took are written again with the others."""


class Report(msgspec.Struct):
    """What a run came to."""

    letters: int = 0
    expired: int = 0
    objects: int = 0
    left: int = 0
    oldest: datetime | None = None
    """Since when the oldest of those that are left has waited."""
    trouble: str | None = None
    """What kept the run from salvaging more, if anything did but its time."""


def failed_batches(bucket: str) -> Heap:
    """Return the heap of the batches that Lambda gave up: an event each, small enough to be held."""
    return Heap(bucket, "aws/lambda/", lambda body, wreck, most: read_batch(body.read(), wreck, most))


def error_output(bucket: str) -> Heap:
    """Return the heap of what Firehose could not convert: a buffer each, read line by line."""
    return Heap(bucket, "errors/", lambda body, wreck, most: read_output(body.iter_lines(MOST_BYTES), wreck, most))


class Salvage:
    """Makes dead letters of leftovers, the oldest first."""

    def __init__(self, s3: Any, broker: Broker, topic: str, heaps: Sequence[Heap], max_letter: int) -> None:
        self._s3 = s3
        self._broker = broker
        self._topic = topic
        self._heaps = heaps
        self._max_letter = max_letter

    def run(self, may_go_on: Callable[[], bool]) -> Report:
        """Salvage what there is time for, and leave the rest where it is.

        Brokers that are away end the run. An object that the store does not hand out keeps no other one waiting.
        """
        waiting = sorted(one for number in range(len(self._heaps)) for one in self._find(number))
        report, left = Report(), list[Leftover]()
        for at, leftover in enumerate(waiting):
            if not may_go_on():
                left += waiting[at:]
                break
            try:
                self._salvage(leftover, report)
            except Unposted as error:
                report.trouble = str(error)
                left += waiting[at:]
                break
            except Retryable as error:
                report.trouble = str(error)
                left.append(leftover)
        report.left = len(left)
        report.oldest = left[0].since if left else None
        return report

    def _find(self, number: int) -> Iterator[Leftover]:
        heap = self._heaps[number]
        with _asking():
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=heap.bucket, Prefix=heap.prefix)
            for page in islice(pages, MOST_PAGES):
                for found in page.get("Contents", ()):
                    yield Leftover(found["LastModified"], number, found["Key"])

    def _salvage(self, leftover: Leftover, report: Report) -> None:
        heap = self._heaps[leftover.heap]
        # Not now but when it was given up: a letter that is written again is the same to the last byte.
        wreck = Wreck(SALVAGED + leftover.key, leftover.since)
        with _asking():
            body = self._s3.get_object(Bucket=heap.bucket, Key=leftover.key)["Body"]
            letters, expired = self._post(heap.read(body, wreck, self._max_letter))
            self._s3.copy_object(
                Bucket=heap.bucket, Key=wreck.kept_as, CopySource={"Bucket": heap.bucket, "Key": leftover.key}
            )
            self._s3.delete_object(Bucket=heap.bucket, Key=leftover.key)
        report.objects += 1
        report.letters += letters
        report.expired += expired

    def _post(self, letters: Iterable[Letter]) -> tuple[int, int]:
        """Store letters; return how many they were, and how many of them are of events that waited too long."""
        posted = expired = size = 0
        messages: list[Message] = []
        for letter in letters:
            message = Message(self._topic, letter.letter_id.encode(), msgspec.json.encode(letter))
            if messages and (len(messages) == MOST_LETTERS or size + len(message.value) > MOST_BYTES):
                self._store(messages)
                messages, size = [], 0
            messages.append(message)
            size += len(message.value)
            posted += 1
            expired += letter.reason == EXPIRED
        self._store(messages)
        return posted, expired

    def _store(self, messages: Sequence[Message]) -> None:
        unstored = [fate for fate in self._broker.store(messages) if fate is not None] if messages else []
        if unstored:
            raise Unposted(f"{len(unstored)} of {len(messages)} letters are not stored: {unstored[0].reason}")


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    """Take whatever keeps S3 from doing its part for something that passes."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise Retryable(f"the bucket does not do its part: {error}") from error
