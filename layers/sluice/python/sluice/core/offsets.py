"""Offsets as the ledger keeps them: ranges from the first on and up to, but not including, the last."""

from collections.abc import Iterable, Mapping
from itertools import pairwise

import msgspec

Span = tuple[int, int]


class Extent(msgspec.Struct, frozen=True):
    """What one partition holds: from the first offset up to, but not including, the last."""

    first: int
    last: int


def span(offsets: Iterable[int]) -> list[Span]:
    """Put offsets together into as few ranges as there can be."""
    ordered = sorted(set(offsets))
    if not ordered:
        return []
    breaks = [(before, after) for before, after in pairwise(ordered) if after != before + 1]
    starts = [ordered[0], *(after for _, after in breaks)]
    ends = [*(before for before, _ in breaks), ordered[-1]]
    return [(start, end + 1) for start, end in zip(starts, ends, strict=True)]


def find_unread(extents: Mapping[int, Extent], committed: Mapping[int, int]) -> dict[int, int]:
    """Return the first unread offset of each partition that has one; what Kafka no longer holds is not waiting."""
    places = {partition: max(committed.get(partition, 0), extent.first) for partition, extent in extents.items()}
    return {partition: place for partition, place in places.items() if place < extents[partition].last}
