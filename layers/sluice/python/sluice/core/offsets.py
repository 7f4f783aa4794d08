"""Offsets as the ledger keeps them: ranges that include the first and exclude the last."""

from collections.abc import Iterable, Mapping
from itertools import pairwise

import msgspec

Span = tuple[int, int]


class Extent(msgspec.Struct, frozen=True):
    """The offsets that a partition holds: from the first up to, but not including, the last."""

    first: int
    last: int


def span(offsets: Iterable[int]) -> list[Span]:
    """Merge offsets into as few ranges as possible."""
    ordered = sorted(set(offsets))
    if not ordered:
        return []
    breaks = [(before, after) for before, after in pairwise(ordered) if after != before + 1]
    starts = [ordered[0], *(after for _, after in breaks)]
    ends = [*(before for before, _ in breaks), ordered[-1]]
    return [(start, end + 1) for start, end in zip(starts, ends, strict=True)]


def find_unread(extents: Mapping[int, Extent], committed: Mapping[int, int]) -> dict[int, int]:
    """Return the first unread offset of each partition that has one; records that Kafka no longer has do not count."""
    places = {partition: max(committed.get(partition, 0), extent.first) for partition, extent in extents.items()}
    return {partition: place for partition, place in places.items() if place < extents[partition].last}
