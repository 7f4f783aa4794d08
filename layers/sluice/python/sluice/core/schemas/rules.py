"""The rules of compatibility: which differences between two versions of a contract are breaches, and why."""

import msgspec

WIRE, SERIES, MEANING = "wire", "series", "meaning"
CATEGORIES = (WIRE, SERIES, MEANING)
"""What a breach breaks, the most grave first: what devices may send, or where readers of bytes find it; which numbers a
series continues with; what a number says that is still in its place."""


class CompatibilityRule(msgspec.Struct, frozen=True):
    """A rule, by which a difference is a breach."""

    id: str
    category: str
    means: str
    """What is different."""
    why: str
    """Why that is a breach."""
    misleads: bool = False
    """Whether it hits readers: of the events' bytes, and of the series."""


FIELD_REMOVED = CompatibilityRule(
    "FIELD_REMOVED",
    WIRE,
    "the field is no longer declared",
    "readers of the events' bytes no longer find it; a closed object rejects it",
    misleads=True,
)
FIELD_NEWLY_REQUIRED = CompatibilityRule(
    "FIELD_NEWLY_REQUIRED", WIRE, "the field must be sent now", "events without it are rejected"
)
TYPE_CHANGED = CompatibilityRule(
    "TYPE_CHANGED", WIRE, "the field has another type", "values of the type before are rejected", misleads=True
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
    "nothing shows that it matches every text that the pattern before matched",
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
    "readers of the events' bytes take its numbers for those of the unit before",
    misleads=True,
)
TYPE_WIDENED = CompatibilityRule(
    "TYPE_WIDENED",
    MEANING,
    "the numbers need not be whole any more",
    "readers of the events' bytes may rely on whole numbers",
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
"""Every rule, in the order in which breaches are listed."""
