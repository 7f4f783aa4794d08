"""How long a replay will take: from what earlier ones took, or from the bound on the rate while there are none.

A replay waits for raw, for recount and for roll, however few events it has; its other steps take a time for each event.
So an earlier replay is an estimate of this one: what it took, and more or less for as many events as they differ by.
"""

from collections.abc import Sequence
from itertools import combinations
from statistics import median, median_low

import msgspec

COUNTED_PER_SECOND = 19_000.0
"""How many events a second a quiet laptop's stack counts and swaps; `bench.replay` measures it."""
COUNTED_AT_LEAST = 1_000.0
"""The same under load."""
LIKE = 2.0
"""Replays of sizes that differ by less than this factor say nothing of the time for an event."""
SPREAD = 0.6
"""By how much a replay may differ from a single like one, which had to start its functions, or met a load. More of them
share it."""
LEAST_SPREAD = 0.1
"""By how much two equal replays differ even so."""


class Past(msgspec.Struct, frozen=True):
    """What a replay took."""

    events: int
    seconds: float
    work_seconds: float
    """Of them, those of the steps whose time grows with the events: sending, counting and swapping."""


class Forecast(msgspec.Struct, frozen=True):
    """How long a replay should take, and within what range."""

    seconds: float
    least: float
    most: float
    rests_on: str
    """What it is taken from, in words."""


def forecast(events: int, past: Sequence[Past], fixed_seconds: float, per_second: float) -> Forecast:
    """Say how long some events will take. `fixed_seconds` counts only while no replay has ended."""
    told = [one for one in past if one.events > 0 and one.seconds > 0]
    if not told:
        sending = events / per_second
        return Forecast(
            fixed_seconds + sending + events / COUNTED_PER_SECOND,
            fixed_seconds / 2 + sending,
            2 * fixed_seconds + sending + events / COUNTED_AT_LEAST,
            "the bound on the rate, as no replay has ended here yet",
        )
    slowest = max(one.work_seconds / one.events for one in told)
    fastest = min(1 / per_second, slowest)
    likely = min(max(_find_pace(told), 0.0), slowest)
    told_by = [_tell(one, events, likely) for one in told]
    bounds = [_tell(one, events, pace) for one in told for pace in (fastest, likely, slowest)]
    sizes = sorted(one.events for one in told)
    of = f"{sizes[0]:,} events" if sizes[0] == sizes[-1] else f"{sizes[0]:,} to {sizes[-1]:,} events"
    rests_on = f"the last {len(told)} replays like it, of {of}" if len(told) > 1 else f"one replay like it, of {of}"
    spread = max(LEAST_SPREAD, SPREAD / len(told))
    # What delays a replay only ever makes it longer: of two, the shorter one is the usual one.
    return Forecast(median_low(told_by), min(bounds) * (1 - spread), max(bounds) * (1 + spread), rests_on)


def _find_pace(told: Sequence[Past]) -> float:
    """Return the seconds for an event: from replays of different sizes, or else from the steps that grow with them."""
    slopes = [
        (more.seconds - fewer.seconds) / (more.events - fewer.events)
        for fewer, more in (sorted(pair, key=lambda one: one.events) for pair in combinations(told, 2))
        if more.events >= LIKE * fewer.events
    ]
    return median(slopes) if slopes else median(one.work_seconds / one.events for one in told)


def _tell(one: Past, events: int, pace: float) -> float:
    """Estimate this replay by an earlier one: it waits for as long, at least."""
    return max(one.seconds + (events - one.events) * pace, one.seconds - one.work_seconds)
