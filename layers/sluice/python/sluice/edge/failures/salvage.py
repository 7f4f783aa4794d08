"""The buckets as queues: objects under some prefixes wait, and move away once all their events are dead letters.

read -> post every letter -> copy to salvaged/ -> delete. No other state exists: if a run stops between two steps, the
next run repeats the object with the same letters. A process only remembers which objects go last.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec

from sluice.core.errors import Retryable
from sluice.core.failures.letters import Letter
from sluice.core.failures.salvage import FailedObject, read_batch, read_output
from sluice.core.messages import Message
from sluice.core.pieces import cut
from sluice.edge import aws
from sluice.edge.broker import Broker

SALVAGED = "salvaged/"
# The limits of one flush. Slow brokers are mostly slow per answer, so flushes are large: a run has time for all flushes
# of the largest object, even if each takes the whole produce deadline.
MOST_LETTERS, MOST_BYTES = 10_000, 16 * 1024 * 1024
# The most bytes read from an object at once.
READ_BYTES = 4 * 1024 * 1024
# Pages of 1,000 objects. If more objects wait, the oldest of all may not be among those seen.
MOST_PAGES = 100


class Pending(msgspec.Struct, frozen=True, order=True):
    """A waiting object, since when it waits, and its source."""

    since: datetime
    source: int
    key: str


class Source(msgspec.Struct, frozen=True):
    """The place of failed objects of one form, and the reader of their letters."""

    bucket: str
    prefix: str
    read: Callable[[Any, FailedObject], Iterator[Letter]]
    """Reads an object's body, which is a stream."""


class Unposted(Retryable):
    """Not every letter was stored, or time ran out; the next attempt writes all of them again."""


class SalvageReport(msgspec.Struct):
    """The result of a run."""

    letters: int = 0
    objects: int = 0
    left: int = 0
    oldest: datetime | None = None
    """Since when the oldest remaining object has waited."""
    troubles: list[str] = msgspec.field(default_factory=list)
    """Why each begun object could not be salvaged."""


def failed_batches(bucket: str) -> Source:
    """Return the source of batches that Lambda gave up: one event each, small enough for memory."""
    return Source(bucket, "aws/lambda/", lambda body, failed: read_batch(body.read(), failed))


def error_output(bucket: str) -> Source:
    """Return the source of records that Firehose could not convert: one buffer each, read line by line."""
    return Source(bucket, "errors/", lambda body, failed: read_output(body.iter_lines(READ_BYTES), failed))


class Salvage:
    """Turns failed objects into dead letters, the oldest first."""

    def __init__(self, s3: Any, broker: Broker, topic: str, sources: Sequence[Source]) -> None:
        self._s3 = s3
        self._broker = broker
        self._topic = topic
        self._sources = sources
        # Objects that ended a run, as long as this process lives: one that always does must not block the others.
        self._behind: set[Pending] = set()

    def run(self, may_begin: Callable[[], bool], may_post: Callable[[], bool]) -> SalvageReport:
        """Salvage as long as time is left, and leave the rest in place.

        The oldest object goes first; an object that ended a run goes last. A broker outage ends the run. An object that
        S3 cannot deliver does not block the others.
        """
        found = [one for number in range(len(self._sources)) for one in self._find(number)]
        self._behind.intersection_update(found)
        waiting = sorted(found, key=lambda one: (one in self._behind, one))
        report, left = SalvageReport(), list[Pending]()
        for at, pending in enumerate(waiting):
            if not may_begin():
                left += waiting[at:]
                break
            try:
                self._salvage(pending, report, may_post)
            except Unposted as error:
                report.troubles.append(f"{pending.key}: {error}")
                self._behind.add(pending)
                left += waiting[at:]
                break
            except Retryable as error:
                report.troubles.append(f"{pending.key}: {error}")
                left.append(pending)
        report.left = len(left)
        report.oldest = min((one.since for one in left), default=None)
        return report

    def _find(self, number: int) -> Iterator[Pending]:
        source = self._sources[number]
        with aws.asking("S3"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=source.bucket, Prefix=source.prefix)
            for page in islice(pages, MOST_PAGES):
                for found in page.get("Contents", ()):
                    yield Pending(found["LastModified"], number, found["Key"])

    def _salvage(self, pending: Pending, report: SalvageReport, may_post: Callable[[], bool]) -> None:
        source = self._sources[pending.source]
        # The time of the giving up, not of this run: a letter that is written again has the same bytes.
        failed = FailedObject(SALVAGED + pending.key, pending.since)
        with aws.asking("S3"):
            body = self._s3.get_object(Bucket=source.bucket, Key=pending.key)["Body"]
            letters = self._post(source.read(body, failed), may_post)
            self._s3.copy_object(
                Bucket=source.bucket, Key=failed.kept_as, CopySource={"Bucket": source.bucket, "Key": pending.key}
            )
            self._s3.delete_object(Bucket=source.bucket, Key=pending.key)
        report.objects += 1
        report.letters += letters

    def _post(self, letters: Iterable[Letter], may_post: Callable[[], bool]) -> int:
        """Store letters, and return their number."""
        posted = 0
        written = (Message(self._topic, letter.letter_id.encode(), msgspec.json.encode(letter)) for letter in letters)
        for piece in cut(written, lambda message: len(message.value), MOST_BYTES, MOST_LETTERS):
            self._store(piece, may_post)
            posted += len(piece)
        return posted

    def _store(self, messages: Sequence[Message], may_post: Callable[[], bool]) -> None:
        """Store messages; retry those not stored in time, as long as each attempt stores some."""
        while messages:
            if not may_post():
                raise Unposted("time ran out before all of its letters were stored")
            failures = self._broker.store(messages)
            reasons = [failure.reason for failure in failures if failure is not None]
            if len(reasons) == len(messages):
                raise Unposted(f"none of {len(messages)} letters is stored: {reasons[0]}")
            messages = [message for message, failure in zip(messages, failures, strict=True) if failure is not None]
