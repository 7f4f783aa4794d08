"""A version of a contract, parsed: field schemas as values instead of JSON, and metrics with their lineage."""

from collections.abc import Mapping
from typing import Any

import msgspec

from sluice.core.limits import Limits

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


class FieldSchema(msgspec.Struct, frozen=True):
    """What a value must be. What a schema leaves out is as ingest has it: no number is beyond its limit."""

    type: str
    least: float = -MOST_NUMBER
    most: float = MOST_NUMBER
    values: tuple[Any, ...] | None = None
    """The only values, of `enum` or `const`."""
    pattern: str | None = None
    fields: Mapping[str, "FieldSchema"] = {}
    """Of an object: the declared fields."""
    required: frozenset[str] = frozenset()
    others: "FieldSchema | bool" = True
    """Of an object: what undeclared fields must be. True: anything; False: there are none."""
    names: str | None = None
    """Of an object: the pattern of names."""
    size: int | None = None
    """Of an object: how many fields it has at most."""
    series: str | None = None
    """The series that a metric continues, in its unit."""
    unit: str | None = None


class Version(msgspec.Struct, frozen=True):
    """A version of a contract."""

    contract: str
    number: int
    firmware_major: int | None
    """Of telemetry: devices with this firmware send it."""
    schema: FieldSchema

    @property
    def name(self) -> str:
        """Its name for people."""
        return f"{self.contract} {self.number}"

    @property
    def metrics(self) -> Mapping[str, FieldSchema]:
        """The declared metrics."""
        metrics = self.schema.fields.get("metrics")
        return {} if metrics is None else metrics.fields

    @property
    def lineage(self) -> Mapping[str, str]:
        """The metric that continues each series."""
        return {metric.series: name for name, metric in self.metrics.items() if metric.series is not None}
