"""A version of a contract, read: rules as values instead of JSON, and metrics with their lineage."""

from collections.abc import Mapping
from typing import Any

import msgspec

from sluice.core.limits import Limits
from sluice.core.schemas.patterns import matches

MOST_NUMBER = Limits().max_number

Place = tuple[str, ...]
"""Where something is in the schema's JSON: the names and keywords that lead to it."""


def write_path(place: Place) -> str:
    """Write the place of a field as in an event; * is any undeclared field."""
    names: list[str] = []
    rest = place
    while rest[:1] in (("properties",), ("additionalProperties",)):
        declared = rest[0] == "properties"
        names.append(rest[1] if declared else "*")
        rest = rest[2 if declared else 1 :]
    return ".".join(names) or "the event"


class FieldRule(msgspec.Struct, frozen=True):
    """What a value must be. What a schema leaves out is as ingest has it: no number is beyond its limit."""

    type: str
    least: float = -MOST_NUMBER
    most: float = MOST_NUMBER
    values: tuple[Any, ...] | None = None
    """The only values, of `enum` or `const`."""
    pattern: str | None = None
    fields: Mapping[str, "FieldRule"] = {}
    """Of an object: the declared fields."""
    required: frozenset[str] = frozenset()
    others: "FieldRule | bool" = True
    """Of an object: what undeclared fields must be. True: anything; False: there are none."""
    names: str | None = None
    """Of an object: the pattern of names."""
    size: int | None = None
    """Of an object: how many fields it has at most."""
    series: str | None = None
    """The series that a metric continues, in its unit."""
    unit: str | None = None


def allows(rule: FieldRule, value: Any) -> bool:
    """Return whether a rule's range and pattern allow a single value of its type."""
    if isinstance(value, str):
        return rule.pattern is None or matches(rule.pattern, value)
    return isinstance(value, bool) or rule.least <= value <= rule.most


class Version(msgspec.Struct, frozen=True):
    """A version of a contract."""

    contract: str
    number: int
    firmware_major: int | None
    """Of telemetry: devices with this firmware send it."""
    rule: FieldRule

    @property
    def name(self) -> str:
        """Its name for people."""
        return f"{self.contract} {self.number}"

    @property
    def metrics(self) -> Mapping[str, FieldRule]:
        """The declared metrics."""
        metrics = self.rule.fields.get("metrics")
        return {} if metrics is None else metrics.fields

    @property
    def lineage(self) -> Mapping[str, str]:
        """The metric that continues each series."""
        return {metric.series: name for name, metric in self.metrics.items() if metric.series is not None}
