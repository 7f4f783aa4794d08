"""Every schema rule that a document breaks, in words for the author of the device's code.

fastjsonschema decides and stops at the first violation. This slower check runs only for events that are already
rejected. It knows the JSON Schema keywords our contracts use, and a test compares the two checks.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from sluice.core.errors import Violation

MOST = 20  # a device that gets everything wrong must not make our answer long

_IS_TYPE: dict[str, Callable[[object], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
}


def list_violations(schema: Mapping[str, Any], document: object) -> tuple[Violation, ...]:
    """List what is wrong with a document, up to a bounded number."""
    return tuple(islice(_check(schema, document, ""), MOST))


def _check(schema: Mapping[str, Any], value: object, path: str) -> Iterator[Violation]:
    here = path or "the event"
    kind = schema.get("type")
    if kind is not None and not _IS_TYPE[kind](value):
        article = "an" if kind[0] in "aeio" else "a"
        yield Violation(path, "type", f"{here} must be {article} {kind}, not {_name_type(value)}")
        return
    if "const" in schema and value != schema["const"]:
        yield Violation(path, "const", f"{here} must be {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        yield Violation(path, "enum", f"{here} must be one of {', '.join(map(repr, schema['enum']))}")
    if isinstance(value, str):
        if "pattern" in schema and not _matches(schema["pattern"], value):
            yield Violation(path, "pattern", f"{here} must be {schema['x-says']}")
    elif isinstance(value, dict):
        yield from _check_object(schema, value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if "minimum" in schema and value < schema["minimum"]:
            yield Violation(path, "minimum", f"{here} must be at least {schema['minimum']:g}")
        if "maximum" in schema and value > schema["maximum"]:
            yield Violation(path, "maximum", f"{here} must be at most {schema['maximum']:g}")


def _check_object(schema: Mapping[str, Any], value: dict[str, Any], path: str) -> Iterator[Violation]:
    here = path or "the event"
    for name in schema.get("required", ()):
        if name not in value:
            yield Violation(_join(path, name), "required", f"{_join(path, name)} is missing")
    if "maxProperties" in schema and len(value) > schema["maxProperties"]:
        yield Violation(path, "maxProperties", f"{here} may hold at most {schema['maxProperties']} values")
    names = schema.get("propertyNames")
    properties = schema.get("properties", {})
    for name, member in value.items():
        if names is not None and not _matches(names["pattern"], name):
            yield Violation(path, "propertyNames", f"a name in {here} must be {names['x-says']}: {name[:64]!r} is not")
        rule = properties.get(name, schema.get("additionalProperties"))
        if isinstance(rule, dict):
            yield from _check(rule, member, _join(path, name))


def _matches(pattern: str, text: str) -> bool:
    # JSON Schema's $ is the very end; Python's $ also matches before a final line feed.
    return re.search(pattern.removesuffix("$") + r"\Z", text) is not None


def _join(path: str, name: str) -> str:
    return f"{path}.{name[:64]}" if path else name[:64]


def _name_type(value: object) -> str:
    return next(kind for kind, matches in _IS_TYPE.items() if matches(value))
