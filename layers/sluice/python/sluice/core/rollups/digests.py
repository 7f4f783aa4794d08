"""Digests: sparse histograms on a sensor's own resolution. Merging is addition, in any order.

Packed, a row's digest is one sorted list for all its metrics: (metric key << 32) + bin + 2^31, beside the counts.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

Digest = Mapping[int, int]
"""The number of readings in each bin."""

STEPS = 1 << 20
"""A sensor's bins are even up to this many resolution steps from zero; beyond, each is 0.1 % wide."""
RATIO = 1.001
SMALLEST = 1e-12
"""Without a declared resolution, readings below it count as zero."""
_BIAS = 1 << 31
_BIN_MASK = (1 << 32) - 1


def merge_digests(rows: Iterable[tuple[Sequence[int], Sequence[int]]]) -> dict[int, Digest]:
    """Add up the packed digests of many rows; return one digest for each metric key."""
    total: dict[int, int] = {}
    counted = total.get
    for bins, counts in rows:
        # The hot loop of an answer from files about a group: thousands of rows with dozens of bins each.
        for packed, count in zip(bins, counts, strict=True):
            total[packed] = counted(packed, 0) + count
    merged: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for packed, count in total.items():
        merged[packed >> 32][(packed & _BIN_MASK) - _BIAS] = count
    return dict(merged)


def pack(metric_key: int, number: int) -> int:
    """Return the number of a metric's bin among the bins of all metrics."""
    return (metric_key << 32) + number + _BIAS


def middle_of(number: int, resolution: float | None) -> float:
    """Return the reading at a bin's middle."""
    even = STEPS if resolution is not None else 0
    if abs(number) <= even:
        return number * (resolution or 0.0)
    begins = SMALLEST if resolution is None else resolution * STEPS
    return math.copysign(begins * RATIO ** (abs(number) - even - 0.5), number)


def percentile(digest: Digest, share: float, resolution: float | None, *, least: float, most: float) -> float:
    """Interpolate between the two ranks around a share of the readings, which all lie between `least` and `most`."""
    place = share * (sum(digest.values()) - 1)
    below, above = math.floor(place), math.ceil(place)
    numbers = sorted(digest)
    passed, low = 0, None
    for number in numbers:
        passed += digest[number]
        if low is None and passed > below:
            low = middle_of(number, resolution)
        if low is not None and passed > above:
            high = middle_of(number, resolution)
            return max(least, min(most, low + (place - below) * (high - low)))
    raise ValueError("a digest without readings has no percentiles")
