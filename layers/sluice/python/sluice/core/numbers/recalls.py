"""Asking for rollups that lie in files, and the answer: rows as the database had them."""

from datetime import datetime

import msgspec

from sluice.core.numbers.tiers import TieredResolution

# An answer may have 6 MB, of which the service's own wrapping takes some.
MAX_ANSWER = 5 * 1024 * 1024
# What is held in memory before it is known how long it will be when written.
MAX_ROWS = 60_000


class TooMuch(Exception):
    """The answer would be too long."""


class Question(msgspec.Struct, frozen=True):
    """Which rows of which files are wanted."""

    resolution: TieredResolution
    fleet_id: str
    device_ids: tuple[str, ...] | None  # None: the fleet as a whole
    metrics: tuple[str, ...]
    window_from: datetime
    window_to: datetime  # not included
    objects: tuple[str, ...]
    digests: bool = False
    """Whether the rows are to be merged with others: digests are two thirds of an answer."""


class RecalledRow(msgspec.Struct, frozen=True, array_like=True):
    """One window of one metric of a device, or of the fleet where there is none."""

    window_start: datetime
    device_id: str | None
    metric: str
    unit: str
    count: int
    avg: float
    min: float
    max: float
    p50: float
    p95: float
    sum: float
    m2: float
    bins: tuple[int, ...] = ()
    bin_counts: tuple[int, ...] = ()


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The rows in the order of time, or why there are none."""

    rows: tuple[RecalledRow, ...] = ()
    too_much: str | None = None


def answer_rows(rows: list[RecalledRow]) -> Answer:
    """Put the rows in the order of time; refuse more of them than one answer can carry."""
    answer = Answer(tuple(sorted(rows, key=lambda row: (row.window_start, row.device_id or "", row.metric))))
    if len(msgspec.json.encode(answer)) > MAX_ANSWER:
        raise TooMuch(f"{len(rows)} rows are longer than an answer may be")
    return answer


def refuse(error: TooMuch) -> Answer:
    """Say that the range, the devices or the metrics have to be fewer, or the resolution coarser."""
    return Answer(too_much=f"{error}: ask for a shorter range, fewer devices or metrics, or a coarser resolution")
