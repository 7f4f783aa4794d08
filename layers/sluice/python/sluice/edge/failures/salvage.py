"""The buckets as queues: what lies under some prefixes waits, and is moved away once all of it is dead letters.

read -> post every letter -> copy to salvaged/ -> delete. Nothing else remembers anything: what a run leaves undone
between two of these is done again by the next one, with the same letters. All a process remembers is what goes last.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec

from sluice.core.errors import Retryable
from sluice.core.failures.letters import Letter
from sluice.core.failures.salvage import EXPIRED, Wreck, read_batch, read_output
from sluice.core.messages import Message
from sluice.core.pieces import cut
from sluice.edge import aws
from sluice.edge.broker import Broker

SALVAGED = "salvaged/"
# Of one flush: what is slow about slow brokers is mostly every single answer. The largest object is then so few of them
# that a run has time for all, even if each takes as long as producing may.
MOST_LETTERS, MOST_BYTES = 10_000, 16 * 1024 * 1024
# Of what is read of an object at once.
READ_BYTES = 4 * 1024 * 1024
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
    read: Callable[[Any, Wreck], Iterator[Letter]]
    """Of an object's body, which is a stream."""


class Unposted(Retryable):
    """Not every letter was taken, or there was no time for it; those that were are written again with the others."""


class Report(msgspec.Struct):
    """What a run came to."""

    letters: int = 0
    expired: int = 0
    objects: int = 0
    left: int = 0
    oldest: datetime | None = None
    """Since when the oldest of those that are left has waited."""
    troubles: list[str] = msgspec.field(default_factory=list)
    """What kept each object from being salvaged that was begun."""


def failed_batches(bucket: str) -> Heap:
    """Return the heap of the batches that Lambda gave up: an event each, small enough to be held."""
    return Heap(bucket, "aws/lambda/", lambda body, wreck: read_batch(body.read(), wreck))


def error_output(bucket: str) -> Heap:
    """Return the heap of what Firehose could not convert: a buffer each, read line by line."""
    return Heap(bucket, "errors/", lambda body, wreck: read_output(body.iter_lines(READ_BYTES), wreck))


class Salvage:
    """Makes dead letters of leftovers, the oldest first."""

    def __init__(self, s3: Any, broker: Broker, topic: str, heaps: Sequence[Heap]) -> None:
        self._s3 = s3
        self._broker = broker
        self._topic = topic
        self._heaps = heaps
        # What ended a run, as long as this process lives: one that always does must not keep the others waiting.
        self._behind: set[Leftover] = set()

    def run(self, may_begin: Callable[[], bool], may_post: Callable[[], bool]) -> Report:
        """Salvage what there is time for, and leave the rest where it is.

        The oldest goes first, and what ended a run goes last. Brokers that are away end the run. An object that the
        store does not hand out keeps no other one waiting.
        """
        found = [one for number in range(len(self._heaps)) for one in self._find(number)]
        self._behind.intersection_update(found)
        waiting = sorted(found, key=lambda one: (one in self._behind, one))
        report, left = Report(), list[Leftover]()
        for at, leftover in enumerate(waiting):
            if not may_begin():
                left += waiting[at:]
                break
            try:
                self._salvage(leftover, report, may_post)
            except Unposted as error:
                report.troubles.append(f"{leftover.key}: {error}")
                self._behind.add(leftover)
                left += waiting[at:]
                break
            except Retryable as error:
                report.troubles.append(f"{leftover.key}: {error}")
                left.append(leftover)
        report.left = len(left)
        report.oldest = min((one.since for one in left), default=None)
        return report

    def _find(self, number: int) -> Iterator[Leftover]:
        heap = self._heaps[number]
        with aws.asking("S3"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=heap.bucket, Prefix=heap.prefix)
            for page in islice(pages, MOST_PAGES):
                for found in page.get("Contents", ()):
                    yield Leftover(found["LastModified"], number, found["Key"])

    def _salvage(self, leftover: Leftover, report: Report, may_post: Callable[[], bool]) -> None:
        heap = self._heaps[leftover.heap]
        # Not now but when it was given up: a letter that is written again is the same to the last byte.
        wreck = Wreck(SALVAGED + leftover.key, leftover.since)
        with aws.asking("S3"):
            body = self._s3.get_object(Bucket=heap.bucket, Key=leftover.key)["Body"]
            letters, expired = self._post(heap.read(body, wreck), may_post)
            self._s3.copy_object(
                Bucket=heap.bucket, Key=wreck.kept_as, CopySource={"Bucket": heap.bucket, "Key": leftover.key}
            )
            self._s3.delete_object(Bucket=heap.bucket, Key=leftover.key)
        report.objects += 1
        report.letters += letters
        report.expired += expired

    def _post(self, letters: Iterable[Letter], may_post: Callable[[], bool]) -> tuple[int, int]:
        """Store letters; return how many they were, and how many of them are of events that waited too long."""
        posted = expired = 0
        written = (
            (Message(self._topic, letter.letter_id.encode(), msgspec.json.encode(letter)), letter.reason == EXPIRED)
            for letter in letters
        )
        for piece in cut(written, lambda one: len(one[0].value), MOST_BYTES, MOST_LETTERS):
            self._store([message for message, _ in piece], may_post)
            posted += len(piece)
            expired += sum(waited for _, waited in piece)
        return posted, expired

    def _store(self, messages: Sequence[Message], may_post: Callable[[], bool]) -> None:
        """Store messages, those again that were not taken in time, for as long as any are."""
        while messages:
            if not may_post():
                raise Unposted("the time is over, and not all of its letters are stored")
            fates = self._broker.store(messages)
            reasons = [fate.reason for fate in fates if fate is not None]
            if len(reasons) == len(messages):
                raise Unposted(f"of {len(messages)} letters none is stored: {reasons[0]}")
            messages = [message for message, fate in zip(messages, fates, strict=True) if fate is not None]
