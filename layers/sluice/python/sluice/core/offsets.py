"""Offsets as the ledger keeps them: ranges from the first on and up to, but not including, the last."""

from collections.abc import Iterable
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
