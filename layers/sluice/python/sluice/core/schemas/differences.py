"""Differences between two field schemas by which a valid value may be rejected, or is no longer where it was.

New optional fields are no difference, although a device may have sent an undeclared field of that name with another
type: the schemas do not tell whether one did.
"""

import math
from collections.abc import Iterator
from typing import Any

import msgspec

from sluice.core.schemas.patterns import matches
from sluice.core.schemas.rules import (
    CLOSED,
    ENUM_NARROWED,
    FIELD_NEWLY_REQUIRED,
    FIELD_REMOVED,
    PATTERN_CHANGED,
    RANGE_NARROWED,
    SIZE_NARROWED,
    TYPE_CHANGED,
    TYPE_WIDENED,
    CompatibilityRule,
)
from sluice.core.schemas.versions import FieldSchema, Place

_FEW = 256
"""So many values of a range of whole numbers are looked at one by one."""


class Difference(msgspec.Struct, frozen=True):
    """A difference between two field schemas, and where it is in the schema."""

    rule: CompatibilityRule
    place: Place
    previous: str
    new: str
    rejects: bool = True
    """Whether a value that was valid may be rejected: as it was sent, or as its mapping writes it."""


def compare_schemas(previous: FieldSchema, new: FieldSchema, place: Place) -> Iterator[Difference]:
    """Yield the differences between the schemas of a field."""
    types = (previous.type, new.type)
    if types == ("integer", "number"):
        yield Difference(TYPE_WIDENED, place, *types, rejects=False)
    elif types == ("number", "integer"):
        known = _list_values(previous)
        were_whole = known is not None and all(value == math.floor(value) for value in known)
        yield Difference(TYPE_CHANGED, place, *types, rejects=not were_whole)
    elif previous.type != new.type:
        yield Difference(TYPE_CHANGED, place, *types)
        return
    if previous.type == "object":
        yield from _compare_objects(previous, new, place)
    else:
        yield from _compare_values(previous, new, place)


def _compare_objects(previous: FieldSchema, new: FieldSchema, place: Place) -> Iterator[Difference]:
    for name, field in previous.fields.items():
        within = (*place, "properties", name)
        if name in new.fields:
            yield from compare_schemas(field, new.fields[name], within)
        else:
            yield Difference(FIELD_REMOVED, within, field.type, "not declared", rejects=_rejects(new.others, field))
    for name in new.fields:
        if name in new.required - previous.required:
            yield Difference(FIELD_NEWLY_REQUIRED, (*place, "properties", name), "not required", "required")
    yield from _compare_others(previous, new, (*place, "additionalProperties"))
    if new.names not in (None, previous.names) and not (
        previous.others is False and all(matches(new.names, name) for name in previous.fields)
    ):
        yield Difference(PATTERN_CHANGED, (*place, "propertyNames"), previous.names or "any name", new.names)
    most = min(previous.size or math.inf, len(previous.fields) if previous.others is False else math.inf)
    if new.size is not None and new.size < most:
        limit = "any number" if most == math.inf else f"{most:g}"
        yield Difference(SIZE_NARROWED, (*place, "maxProperties"), limit, f"{new.size}")


def _compare_others(previous: FieldSchema, new: FieldSchema, place: Place) -> Iterator[Difference]:
    if previous.others is False or new.others is True:
        return
    if new.others is False:
        yield Difference(CLOSED, place, "undeclared fields", "none")
    elif previous.others is True:
        yield Difference(TYPE_CHANGED, place, "anything", new.others.type)
    else:
        yield from compare_schemas(previous.others, new.others, place)


def _rejects(others: FieldSchema | bool, field: FieldSchema) -> bool:
    """Return whether values of a field may be rejected where the field is not declared."""
    if isinstance(others, bool):
        return not others
    return any(difference.rejects for difference in compare_schemas(field, others, ()))


def _compare_values(previous: FieldSchema, new: FieldSchema, place: Place) -> Iterator[Difference]:
    known = _list_values(previous)
    if new.values is not None and (known is None or any(value not in new.values for value in known)):
        yield Difference(ENUM_NARROWED, place, _write_values(previous), _write_values(new))
    if _is_narrower(previous, new, known):
        yield Difference(RANGE_NARROWED, place, _write_range(previous), _write_range(new))
    if new.pattern not in (None, previous.pattern) and not (
        known is not None and all(matches(new.pattern, value) for value in known)
    ):
        yield Difference(PATTERN_CHANGED, place, previous.pattern or "any text", new.pattern)


def _is_narrower(previous: FieldSchema, new: FieldSchema, known: tuple[Any, ...] | None) -> bool:
    if previous.type not in ("number", "integer"):
        return False
    if known is not None:
        return any(not new.least <= value <= new.most for value in known)
    if previous.type == "integer":
        return math.ceil(previous.least) < new.least or math.floor(previous.most) > new.most
    return previous.least < new.least or previous.most > new.most


def _list_values(schema: FieldSchema) -> tuple[Any, ...] | None:
    """List every value that passes, or None if these are many, or texts by a pattern."""
    if schema.values is not None:
        return schema.values
    if schema.type == "boolean":
        return (True, False)
    if schema.type == "integer" and schema.most - schema.least < _FEW:
        return tuple(range(math.ceil(schema.least), math.floor(schema.most) + 1))
    return (schema.least,) if schema.type == "number" and schema.least == schema.most else None


def _write_values(schema: FieldSchema) -> str:
    return f"any {schema.type}" if schema.values is None else ", ".join(map(str, schema.values))


def _write_range(schema: FieldSchema) -> str:
    return f"{schema.least:.12g} to {schema.most:.12g}"
