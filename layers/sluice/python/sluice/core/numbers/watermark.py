"""How far reception has been dealt with: the moment before which nothing that was received is still to come.

Of each partition there are two ways to know. What a consumer last covered was stored after everything that was received
a produce deadline earlier. And what a partition held when the brokers were asked was stored before that moment, so once
all of it is covered, everything received a deadline before the question is too, however quiet the partition is.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from sluice.core.offsets import Extent


class Covered(msgspec.Struct, frozen=True):
    """What a consumer has dealt with of one partition."""

    until: int
    """The offset behind the last record."""
    received_until: datetime | None
    """The latest reception among the records; None where none of them could say."""


class Question(msgspec.Struct, frozen=True):
    """The brokers' answer about every partition of a topic, and when they were asked."""

    asked_at: datetime
    extents: Mapping[int, Extent]


def place_watermark(covered: Mapping[int, Covered], questions: Sequence[Question], slack: timedelta) -> datetime | None:
    """Return the watermark over all partitions, or None while a partition's first records have not been covered.

    `questions` are oldest first; the last one decides which partitions there are. Without any, because the brokers have
    not answered yet, only the partitions that are covered count.
    """
    partitions = questions[-1].extents if questions else covered
    moments = [_place(covered.get(partition), partition, questions) for partition in partitions]
    known = [moment for moment in moments if moment is not None]
    return min(known) - slack if known and len(known) == len(moments) else None


def _place(covered: Covered | None, partition: int, questions: Sequence[Question]) -> datetime | None:
    received_until = None if covered is None else covered.received_until
    until = 0 if covered is None else covered.until
    if questions:
        # What Kafka no longer has will never be read, covered or not.
        until = max(until, questions[-1].extents[partition].first)
    asked = (
        question.asked_at
        for question in reversed(questions)
        if partition in question.extents and question.extents[partition].last <= until
    )
    return max(filter(None, (received_until, next(asked, None))), default=None)
