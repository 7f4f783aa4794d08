"""By which differences between two rules a value may pass before and not after, or is no longer where it was.

New optional fields are no difference, although a device may have sent an undeclared field of that name before, with
another type: the schemas do not tell whether one did.
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
from sluice.core.schemas.versions import FieldRule, Place

_FEW = 256
"""So many values of a range of whole numbers are looked at one by one."""


class Difference(msgspec.Struct, frozen=True):
    """A difference between two rules, and where it is in the schema."""

    rule: CompatibilityRule
    place: Place
    before: str
    after: str
    rejects: bool = True
    """Whether a value that passed before may be rejected: as it was sent, or as its mapping writes it."""


def compare_rules(before: FieldRule, after: FieldRule, place: Place, passed_over: str = "") -> Iterator[Difference]:
    """Yield the differences between the rules of a field, but for those of the field that is passed over."""
    if before.type != after.type:
        if (before.type, after.type) == ("integer", "number"):
            yield Difference(TYPE_WIDENED, place, before.type, after.type, rejects=False)
        else:
            yield Difference(TYPE_CHANGED, place, before.type, after.type, rejects=not _are_whole(before, after))
            if "integer" not in (before.type, after.type) or "number" not in (before.type, after.type):
                return
    if before.type == "object":
        yield from _compare_objects(before, after, place, passed_over)
    else:
        yield from _compare_values(before, after, place)


def _are_whole(before: FieldRule, after: FieldRule) -> bool:
    """Return whether numbers that must be whole now were whole before."""
    known = _list_values(before) if (before.type, after.type) == ("number", "integer") else None
    return known is not None and all(value == math.floor(value) for value in known)


def _compare_objects(before: FieldRule, after: FieldRule, place: Place, passed_over: str) -> Iterator[Difference]:
    for name, rule in before.fields.items():
        if name == passed_over:
            continue
        within = (*place, "properties", name)
        if name in after.fields:
            yield from compare_rules(rule, after.fields[name], within)
        else:
            yield Difference(FIELD_REMOVED, within, rule.type, "not declared", rejects=_rejects(after.others, rule))
    for name in after.fields:
        if name in after.required - before.required and name != passed_over:
            yield Difference(FIELD_NEWLY_REQUIRED, (*place, "properties", name), "not required", "required")
    yield from _compare_others(before, after, (*place, "additionalProperties"))
    if after.names not in (None, before.names) and not (
        before.others is False and all(matches(after.names, name) for name in before.fields)
    ):
        yield Difference(PATTERN_CHANGED, (*place, "propertyNames"), before.names or "any name", after.names)
    most = min(before.size or math.inf, len(before.fields) if before.others is False else math.inf)
    if after.size is not None and after.size < most:
        yield Difference(SIZE_NARROWED, (*place, "maxProperties"), f"{most:g}", f"{after.size}")


def _compare_others(before: FieldRule, after: FieldRule, place: Place) -> Iterator[Difference]:
    if before.others is False or after.others is True:
        return
    if after.others is False:
        yield Difference(CLOSED, place, "undeclared fields", "none")
    elif before.others is True:
        yield Difference(TYPE_CHANGED, place, "anything", after.others.type)
    else:
        yield from compare_rules(before.others, after.others, place)


def _rejects(others: FieldRule | bool, rule: FieldRule) -> bool:
    """Return whether values of a field may be rejected where the field is not declared."""
    if isinstance(others, bool):
        return not others
    return any(difference.rejects for difference in compare_rules(rule, others, ()))


def _compare_values(before: FieldRule, after: FieldRule, place: Place) -> Iterator[Difference]:
    known = _list_values(before)
    if after.values is not None and (known is None or any(value not in after.values for value in known)):
        yield Difference(ENUM_NARROWED, place, _write_values(before), _write_values(after))
    if _is_narrower(before, after, known):
        yield Difference(RANGE_NARROWED, place, _write_range(before), _write_range(after))
    if after.pattern not in (None, before.pattern) and not (
        known is not None and all(matches(after.pattern, value) for value in known)
    ):
        yield Difference(PATTERN_CHANGED, place, before.pattern or "any text", after.pattern)


def _is_narrower(before: FieldRule, after: FieldRule, known: tuple[Any, ...] | None) -> bool:
    if before.type not in ("number", "integer"):
        return False
    if known is not None:
        return any(not after.least <= value <= after.most for value in known)
    if before.type == "integer":
        return math.ceil(before.least) < after.least or math.floor(before.most) > after.most
    return before.least < after.least or before.most > after.most


def _list_values(rule: FieldRule) -> tuple[Any, ...] | None:
    """List every value that passes, or None if these are many, or texts by a pattern."""
    if rule.values is not None:
        return rule.values
    if rule.type == "boolean":
        return (True, False)
    if rule.type == "integer" and rule.most - rule.least < _FEW:
        return tuple(range(math.ceil(rule.least), math.floor(rule.most) + 1))
    return (rule.least,) if rule.type == "number" and rule.least == rule.most else None


def _write_values(rule: FieldRule) -> str:
    return f"any {rule.type}" if rule.values is None else ", ".join(map(str, rule.values))


def _write_range(rule: FieldRule) -> str:
    return f"{rule.least:.12g} to {rule.most:.12g}"
