"""Questions for rollups in files, and their answers: rows as the database had them."""

from datetime import datetime

import msgspec

from sluice.core.rollup_archive.files import TieredResolution

# An answer may have 6 MB, including the service's own envelope.
MAX_ANSWER = 5 * 1024 * 1024
# The most rows held in memory before their written length is known.
MAX_ROWS = 60_000


class RecallQuestion(msgspec.Struct, frozen=True):
    """The wanted rows, and the files that hold them."""

    resolution: TieredResolution
    fleet_id: str
    device_ids: tuple[str, ...] | None  # None: the fleet as a whole
    metrics: tuple[str, ...]
    window_from: datetime
    window_to: datetime  # not included
    objects: tuple[str, ...]
    digests: bool = False
    """Whether the rows will be merged with others and need digests, two thirds of an answer."""
    correlation_id: str = ""
    """The asking request's; an older release of query sends none."""


class ArchivedRow(msgspec.Struct, frozen=True, array_like=True):
    """One window of one metric of a device, or of the fleet if no device is named."""

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


class RecallAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The rows in time order, or the reason why there are none."""

    rows: tuple[ArchivedRow, ...] = ()
    too_much: str | None = None


def answer_rows(rows: list[ArchivedRow]) -> RecallAnswer:
    """Put the rows in time order; refuse more rows than one answer can carry."""
    answer = RecallAnswer(tuple(sorted(rows, key=lambda row: (row.window_start, row.device_id or "", row.metric))))
    if len(msgspec.json.encode(answer)) > MAX_ANSWER:
        return refuse(f"{len(rows)} rows are longer than an answer may be")
    return answer


def refuse(reason: str) -> RecallAnswer:
    """Ask for a shorter range, fewer devices or metrics, or a coarser resolution."""
    advice = "ask for a shorter range, fewer devices or metrics, or a coarser resolution"
    return RecallAnswer(too_much=f"{reason}: {advice}")
