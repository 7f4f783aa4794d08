"""A rule as admins write it: which series it watches, when a reading is a breach, and when an incident opens."""

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

RULES = "rules"
"""The kind of published control data."""

# above, below: a threshold. zscore: the last hour. baseline: the same hour of the day. range: the lowest and highest
# of the last days. level, stuck, silence: the series as a whole.
# A release that does not know a kind reads no rules at all, and takes verdicts of that kind for poison: the release
# that adds a kind only reads it, and the next one lets admins write it.
RuleKind = Literal["above", "below", "zscore", "baseline", "range", "level", "stuck", "silence"]
KINDS: tuple[RuleKind, ...] = get_args(RuleKind)
OF_READINGS: tuple[RuleKind, ...] = ("above", "below", "zscore", "baseline", "range")
"""Kinds that judge each reading; detect does. The others judge a series by its statistics; learn does."""
Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
RuleId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\Z")]
MOST_OF = 10


class SeriesRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of a fleet."""

    fleet_id: str
    rule_id: str
    version: int
    metric: str
    """A series of `schemas/series.json`; "" for silence."""
    device_type: str | None = None
    device_id: str | None = None
    """A rule names at most one of these two. For a series and kind, the rule of the device counts, then of its type."""
    kind: RuleKind
    open: float
    """The threshold in the unit of the series; or deviations (zscore, baseline, level); or a share (range, stuck); or
    usual intervals without a reading (silence)."""
    clear: float
    """Nearer to the usual than `open`, or equal: from here on a reading is clear."""
    breaches: int = 1
    of: int = 1
    """An incident opens when so many of the latest readings are breaches."""
    severity: Severity = "warning"
    fleet_type: str | None = None
    """The type of those of the fleet's devices that have no type of their own."""
