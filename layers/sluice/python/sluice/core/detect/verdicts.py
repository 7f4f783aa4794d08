"""A record of `alert-events`: what one rule says about the latest readings of one series.

detect and learn keep nothing, so a redelivered batch may be judged twice. alert sees by the positions what it has
already taken in.
"""

from datetime import datetime
from typing import Literal

import msgspec

from sluice.core.detect.series_rules import RuleKind, Severity

VERSION = 1
MOST_READINGS = 16
"""The latest readings of a batch; what is older does not change what alert decides."""

State = Literal["breach", "between", "clear"]
"""between: no breach any more, and not yet clear."""


class Judged(msgspec.Struct, frozen=True, array_like=True):
    """One reading, or one run of learn, as a rule judged it."""

    position: int
    """Grows along the series: the offset in `raw-events`, or of a run of learn the milliseconds of its time."""
    at: datetime
    value: float
    state: State
    away: float | None = None
    """How far from the usual, in the measure of the rule's `open`; None for a threshold."""
    event_id: str | None = None
    why: str = ""
    """Of a breach, in words for the person who is notified."""
    correlation_id: str = ""
    """Of a breach, the request that brought its event; an older release of detect names none."""


class Statistics(msgspec.Struct, frozen=True):
    """What the readings were compared with."""

    mean: float
    deviation: float
    count: int
    computed_at: datetime
    stale: bool = False


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One record."""

    version: int = VERSION
    fleet_id: str
    device_id: str
    metric: str
    unit: str
    rule_id: str
    rule_version: int
    kind: RuleKind
    open: float
    clear: float
    breaches: int
    of: int
    severity: Severity
    source: Literal["readings", "statistics"]
    partition: int
    """Of `raw-events`; -1 for statistics."""
    received_at: datetime
    """Of the newest reading: positions of a recreated topic begin again, and receptions do not."""
    readings: tuple[Judged, ...]
    statistics: Statistics | None = None
    interval_seconds: float | None = None
    """The usual time between two readings, or between two runs of learn. alert ignores a breach older than twice `of`
    of these."""
    firmware: str = ""
    correlation_id: str = ""
