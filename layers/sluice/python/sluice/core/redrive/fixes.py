"""Fixes of events: up to ten verbs from a list of five. They are data: nothing in them is run.

rename a member, convert its unit, cast it to another type, drop it, set it. A verb that finds nothing to do leaves an
event as it is: the letters of a group need not all have the same members. The contract decides what passes.
"""

import json
import math
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from sluice.core.errors import Refusal
from sluice.core.events.units import SeriesBook, Unit
from sluice.core.redrive.paths import find_place

MOST_VERBS = 10
IDENTITY = ("event_id", "device_id", "source")
"""Members that tell events apart: one value for all of them would make every event but one a duplicate."""

Path = Annotated[str, Meta(min_length=1, max_length=256)]
Text = Annotated[str, Meta(max_length=1024)]

_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,15})?([eE][-+]?\d{1,3})?")
_DIGITS = 12
"""A conversion's result has so many digits: 72 degF are 22.2222222222 degC, and not 22.222222222222218."""


class Rename(msgspec.Struct, frozen=True, tag_field="verb", tag="rename", forbid_unknown_fields=True):
    """Move a member to another name or place; a member that is there already stays."""

    path: Path
    to: Path


class Convert(
    msgspec.Struct,
    frozen=True,
    tag_field="verb",
    tag="convert",
    forbid_unknown_fields=True,
    rename={"from_unit": "from", "to_unit": "to"},
):
    """Convert a number from one unit to another of the same quantity."""

    path: Path
    from_unit: Text
    to_unit: Text


class Cast(msgspec.Struct, frozen=True, tag_field="verb", tag="cast", forbid_unknown_fields=True):
    """Write a value as another type, if it can be read as one."""

    path: Path
    type: Literal["number", "integer", "string", "boolean"]


class Drop(msgspec.Struct, frozen=True, tag_field="verb", tag="drop", forbid_unknown_fields=True):
    """Remove a member."""

    path: Path


class Set(msgspec.Struct, frozen=True, tag_field="verb", tag="set", forbid_unknown_fields=True):
    """Give a member a value, the same in every event."""

    path: Path
    value: Text | bool | int | float | None


Verb = Rename | Convert | Cast | Drop | Set
Fix = tuple[Verb, ...]


def read_fix(given: object, book: SeriesBook) -> Fix:
    """Read a fix strictly, and refuse one that could not mean anything or would merge events."""
    try:
        fix: Fix = msgspec.convert(given, Annotated[Fix, Meta(max_length=MOST_VERBS)])
    except msgspec.ValidationError as error:
        raise Refusal(400, "invalid_fix", f"The fix cannot be read: {error}.") from error
    constant: set[str] = set()
    for verb in fix:
        if isinstance(verb, Convert):
            _find_units(verb, book)
        if isinstance(verb, Set):
            constant.add(verb.path)
            if isinstance(verb.value, float) and not math.isfinite(verb.value):
                raise Refusal(400, "invalid_fix", f"{verb.path} cannot be set to a number that is not finite.")
        if isinstance(verb, Rename):
            # A value that was set moves with its member, or with the object that it is in.
            moved = (one.removeprefix(verb.path) for one in constant if f"{one}.".startswith(f"{verb.path}."))
            constant |= {*[f"{verb.to}{rest}" for rest in moved]}
        merged = constant.intersection(IDENTITY) or ({verb.path} & {*IDENTITY} if isinstance(verb, Drop) else set())
        if merged:
            detail = f"A fix must not set or drop {min(merged)}: it tells events apart."
            raise Refusal(400, "identity_fixed", detail)
    return fix


def describe_fix(fix: Fix) -> list[dict[str, Any]]:
    """Return a fix as JSON has it."""
    return [msgspec.to_builtins(verb) for verb in fix]


def fix_event(body: bytes, fix: Fix, book: SeriesBook) -> bytes:
    """Return an event's bytes after a fix: the same ones where it changes nothing, or they are no JSON object."""
    document = read_document(body) if fix else None
    if not isinstance(document, dict) or not apply_fix(document, fix, book):
        return body
    try:
        return msgspec.json.encode(document)
    except (ValueError, OverflowError, RecursionError):
        # It holds what JSON of ours cannot: half of a surrogate pair, or a number without bound.
        return body


def apply_fix(document: dict[str, Any], fix: Sequence[Verb], book: SeriesBook) -> bool:
    """Apply a fix to a document in place; return whether it changed anything."""
    changes = [_apply(document, verb, book) for verb in fix]
    return any(changes)


def _apply(document: dict[str, Any], verb: Verb, book: SeriesBook) -> bool:
    place = find_place(document, verb.path)
    if place is None:
        return False
    container, name = place
    if isinstance(verb, Set):
        container[name] = verb.value
        return True
    if name not in container:
        return False
    if isinstance(verb, Drop):
        del container[name]
        return True
    if isinstance(verb, Rename):
        return _rename(document, container, name, verb.to)
    before = container[name]
    if isinstance(verb, Cast):
        container[name] = cast(before, verb.type)
    else:
        container[name] = convert(before, *_find_units(verb, book))
    return container[name] is not before


def read_document(body: bytes) -> object:
    """Read JSON for a fix; None if it cannot be read, names a member twice, or has a number that is beyond ours."""
    try:
        return json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_refuse, parse_float=_read_float)
    except (ValueError, RecursionError):
        return None


def cast(value: object, kind: str) -> object:
    """Read a value as another type; return it as it is if it cannot be read so."""
    match kind:
        case "string" if isinstance(value, int | float):
            return "true" if value is True else "false" if value is False else json.dumps(value)
        case "number" if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
            number = float(value)
            whole = _whole(number, number) if "." not in value else number
            return whole if math.isfinite(number) else value
        case "integer" if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
            return _whole(float(value), value)
        case "integer" if isinstance(value, float):
            return _whole(value, value)
        case "boolean" if value in ("true", "false"):
            return value == "true"
        case "boolean" if type(value) is int and value in (0, 1):
            return value == 1
    return value


def convert(value: object, given: Unit, wanted: Unit) -> object:
    """Convert a number; return anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    try:
        converted = (value * given.scale + given.offset - wanted.offset) / wanted.scale
    except OverflowError:
        return value
    return float(f"{converted:.{_DIGITS}g}") if math.isfinite(converted) else value


def _whole(number: float, otherwise: object) -> object:
    return int(number) if math.isfinite(number) and number.is_integer() and abs(number) < 2**53 else otherwise


def _rename(document: dict[str, Any], container: dict[str, Any], name: str, to: str) -> bool:
    target = find_place(document, to)
    if target is None or target[1] in target[0]:
        return False
    value = container[name]
    if any(target[0] is inner for inner in _objects_in(value)):
        # A member cannot move into itself.
        return False
    del container[name]
    target[0][target[1]] = value
    return True


def _objects_in(value: object) -> list[object]:
    found: list[object] = [value]
    for one in found:
        if isinstance(one, dict):
            found += one.values()
    return found


def _find_units(verb: Convert, book: SeriesBook) -> tuple[Unit, Unit]:
    given, wanted = (book.units.get(name) for name in (verb.from_unit, verb.to_unit))
    if given is None or wanted is None:
        unknown = verb.from_unit if given is None else verb.to_unit
        raise Refusal(400, "unknown_unit", f"{unknown[:64]!r} is no unit; known are {', '.join(sorted(book.units))}.")
    if given.quantity != wanted.quantity:
        detail = f"{verb.from_unit} measures {given.quantity} and {verb.to_unit} {wanted.quantity}."
        raise Refusal(400, "units_differ", detail)
    return given, wanted


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a name occurs twice")
    return read


def _read_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        # 1e400 would be written as null: another value than the device sent.
        raise ValueError(f"{digits[:64]} is beyond a double")
    return number


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number in JSON")
