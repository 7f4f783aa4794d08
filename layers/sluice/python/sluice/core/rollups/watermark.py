"""The watermark: every event received before it has been covered.

Two facts give a partition's watermark. First, the record that a consumer last covered was stored after everything that
was received a produce deadline earlier. Second, the records that a partition held when the brokers were asked were
stored before that moment. Once all of them are covered, so is everything received a deadline before the snapshot. The
second fact moves the watermark of a quiet partition.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from sluice.core.offsets import Extent


class Covered(msgspec.Struct, frozen=True):
    """How far a consumer has covered one partition."""

    until: int
    """The offset after the last record."""
    received_until: datetime | None
    """The latest reception among the records; None if none of them names one."""


class OffsetSnapshot(msgspec.Struct, frozen=True):
    """The brokers' offsets of every partition of a topic, and when they were asked."""

    asked_at: datetime
    extents: Mapping[int, Extent]


def place_watermark(
    covered: Mapping[int, Covered], snapshots: Sequence[OffsetSnapshot], slack: timedelta
) -> datetime | None:
    """Return the watermark over all partitions, or None while a partition's first records are not covered.

    `snapshots` are oldest first; the last one decides which partitions exist. While there is none, because the brokers
    have not answered yet, a partition that was never covered may have records.
    """
    if not snapshots:
        return None
    moments = [_place(covered.get(partition), partition, snapshots) for partition in snapshots[-1].extents]
    known = [moment for moment in moments if moment is not None]
    return min(known) - slack if known and len(known) == len(moments) else None


def _place(covered: Covered | None, partition: int, snapshots: Sequence[OffsetSnapshot]) -> datetime | None:
    received_until = None if covered is None else covered.received_until
    # Records that Kafka no longer has will never be read, covered or not.
    until = max(0 if covered is None else covered.until, snapshots[-1].extents[partition].first)
    asked = (
        snapshot.asked_at
        for snapshot in reversed(snapshots)
        if partition in snapshot.extents and snapshot.extents[partition].last <= until
    )
    return max(filter(None, (received_until, next(asked, None))), default=None)
