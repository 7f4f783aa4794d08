"""The compatibility rules: which differences between two versions of a contract are breaking changes, and why."""

import msgspec

WIRE, SERIES, MEANING = "wire", "series", "meaning"
"""What a change breaks, the most grave first: what devices may send, or where consumers of raw events find it; which
numbers a series continues with; what a number says that is still in its place."""


class CompatibilityRule(msgspec.Struct, frozen=True):
    """A rule, by which a difference is a breaking change."""

    id: str
    category: str
    means: str
    """What is different."""
    why: str
    """Why that breaks something."""
    misleads: bool = False
    """Whether it hits the consumers of raw events, and those that read the series."""


FIELD_REMOVED = CompatibilityRule(
    "FIELD_REMOVED",
    WIRE,
    "the field is no longer declared",
    "consumers of raw events no longer find it; a closed object rejects it",
    misleads=True,
)
FIELD_NEWLY_REQUIRED = CompatibilityRule(
    "FIELD_NEWLY_REQUIRED", WIRE, "the field must be sent now", "events without it are rejected"
)
TYPE_CHANGED = CompatibilityRule(
    "TYPE_CHANGED", WIRE, "the field has another type", "values of the previous type are rejected", misleads=True
)
ENUM_NARROWED = CompatibilityRule(
    "ENUM_NARROWED", WIRE, "fewer single values are allowed", "events with the other values are rejected"
)
RANGE_NARROWED = CompatibilityRule(
    "RANGE_NARROWED", WIRE, "the range is narrower", "events with values outside of it are rejected"
)
PATTERN_CHANGED = CompatibilityRule(
    "PATTERN_CHANGED",
    WIRE,
    "the text has another pattern",
    "nothing shows that it matches every text that the previous pattern matched",
)
SIZE_NARROWED = CompatibilityRule(
    "SIZE_NARROWED", WIRE, "the object may have fewer fields", "events with more are rejected"
)
CLOSED = CompatibilityRule("CLOSED", WIRE, "undeclared fields are no longer allowed", "events with any are rejected")
SERIES_LOST = CompatibilityRule(
    "SERIES_LOST",
    SERIES,
    "no metric continues the series",
    "its rollups, rules and baselines end where devices move to this version",
)
SERIES_MOVED = CompatibilityRule(
    "SERIES_MOVED",
    SERIES,
    "the metric continues another series",
    "one name would have numbers of two series",
    misleads=True,
)
UNIT_CHANGED = CompatibilityRule(
    "UNIT_CHANGED",
    MEANING,
    "the metric is sent in another unit",
    "consumers of raw events take its numbers for those of the previous unit",
    misleads=True,
)
TYPE_WIDENED = CompatibilityRule(
    "TYPE_WIDENED",
    MEANING,
    "the numbers need not be whole any more",
    "consumers of raw events may rely on whole numbers",
    misleads=True,
)

RULES = (
    FIELD_REMOVED,
    FIELD_NEWLY_REQUIRED,
    TYPE_CHANGED,
    ENUM_NARROWED,
    RANGE_NARROWED,
    PATTERN_CHANGED,
    SIZE_NARROWED,
    CLOSED,
    SERIES_LOST,
    SERIES_MOVED,
    UNIT_CHANGED,
    TYPE_WIDENED,
)
"""Every rule, in the order in which breaking changes are listed."""
