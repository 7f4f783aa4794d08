"""The keywords of schemas that are supported: where each stands, and what its value must be.

They are those that the listing of violations can explain to a device's author.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sluice.core.events.contracts import ACTIVITY, READING, TELEMETRY
from sluice.core.schemas.versions import MOST_NUMBER

DRAFT = "http://json-schema.org/draft-07/schema#"
MOST_VALUES = 256
MOST_TEXT = 1000
NUMBERS = ("number", "integer")


def _is_whole(least: int, most: int) -> Callable[[object], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -MOST_NUMBER <= value <= MOST_NUMBER


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MOST_TEXT


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value) and len(set(value)) == len(value)


class Keyword(NamedTuple):
    """A keyword: for which types of fields it is, and what its value must be."""

    types: Sequence[str]
    """Empty: for all."""
    says: str
    holds: Callable[[object], bool]


IS_TYPE: Mapping[str, Callable[[object], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "integer": lambda value: type(value) is int and _is_number(value),
    "boolean": lambda value: isinstance(value, bool),
}
_SCALARS = ("string", "boolean", *NUMBERS)
_TEXT = f"a text of at most {MOST_TEXT} characters"
_NUMBER = f"a number from {-MOST_NUMBER:g} to {MOST_NUMBER:g}"

AT_THE_TOP: Mapping[str, Keyword] = {
    "$schema": Keyword((), f'"{DRAFT}"', lambda value: value == DRAFT),
    "$id": Keyword((), _TEXT, _is_text),
    "title": Keyword((), _TEXT, _is_text),
    "x-contract": Keyword((), "telemetry, reading or activity", (TELEMETRY, READING, ACTIVITY).__contains__),
    "x-version": Keyword((), "a whole number from 1 to 9999", _is_whole(1, 9999)),
    "x-firmware-major": Keyword((), "a whole number from 0 to 99999", _is_whole(0, 99999)),
}
ANYWHERE: Mapping[str, Keyword] = {
    "type": Keyword((), f"one of {', '.join(IS_TYPE)}", lambda value: isinstance(value, str) and value in IS_TYPE),
    "description": Keyword((), _TEXT, _is_text),
    "deprecated": Keyword((), "true or false", IS_TYPE["boolean"]),
    "x-says": Keyword((), _TEXT, _is_text),
    "const": Keyword(_SCALARS, "a single value", lambda value: not isinstance(value, list | dict)),
    "enum": Keyword(
        _SCALARS,
        f"a list of 1 to {MOST_VALUES} values",
        lambda value: isinstance(value, list) and 0 < len(value) <= MOST_VALUES,
    ),
    "pattern": Keyword(("string",), "a text", IS_TYPE["string"]),
    "minimum": Keyword(NUMBERS, _NUMBER, _is_number),
    "maximum": Keyword(NUMBERS, _NUMBER, _is_number),
    "x-series": Keyword(NUMBERS, "a text", IS_TYPE["string"]),
    "x-unit": Keyword(NUMBERS, "a text", IS_TYPE["string"]),
    "properties": Keyword(("object",), "an object", IS_TYPE["object"]),
    "required": Keyword(("object",), "a list of different names", _is_names),
    "maxProperties": Keyword(("object",), "a whole number from 1 to 9999", _is_whole(1, 9999)),
    "propertyNames": Keyword(("object",), "an object", IS_TYPE["object"]),
    "additionalProperties": Keyword(
        ("object",), "true, false or an object", lambda value: isinstance(value, bool | dict)
    ),
}

# What authors of schemas expect, and what to write instead.
INSTEAD: Mapping[str, str] = {
    "$ref": "write the field schema itself, so that a version needs no other document",
    "default": "ingest fills nothing in",
    "format": "write a pattern",
    "minLength": "write a pattern, such as ^[^\\u0000-\\u001f]{1,64}$",
    "maxLength": "write a pattern, such as ^[^\\u0000-\\u001f]{1,64}$",
}
