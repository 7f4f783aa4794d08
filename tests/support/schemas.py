"""Candidates for tests: a released version with another number, with changes; and the corners of a field schema."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from sluice.core.schemas.parser import parse_version
from sluice.core.schemas.patterns import matches
from sluice.core.schemas.versions import FieldSchema, Version
from sluice.edge.events.schemas import SCHEMAS, load_series

BOOK = load_series()
REMOVED = object()
"""Instead of a value: takes the name away."""

Document = dict[str, Any]


def released(contract: str, number: int) -> Document:
    """A released version."""
    document: Document = json.loads((SCHEMAS / contract / f"{number}.json").read_bytes())
    return document


def follow(document: Document, **changes: Any) -> Document:
    """The next version, with changes at places such as properties__metrics__maxProperties."""
    number = document["x-version"] + 1
    following = deepcopy(document) | {"$id": f"urn:sluice:{document['x-contract']}:{number}", "x-version": number}
    if "x-firmware-major" in document:
        following["x-firmware-major"] = number
        firmware = following["properties"]["device_firmware_version"]
        firmware["pattern"] = firmware["pattern"].replace(f"^{number - 1}", f"^{number}")
    else:
        following["properties"]["schema_version"]["const"] = number
    return change(following, **changes)


def change(document: Document, **changes: Any) -> Document:
    """A document with changes at places."""
    changed = deepcopy(document)
    for place, value in changes.items():
        *way, name = place.split("__")
        within = changed
        for step in way:
            within = within[step]
        if value is REMOVED:
            del within[name]
        else:
            within[name] = value
    return changed


def fourth(**changes: Any) -> Document:
    """The candidate that renames a metric and sends it in kelvin, with changes."""
    document = follow(released("telemetry", 3))
    metrics = document["properties"]["metrics"]
    renamed = {"processor_temperature": metrics["properties"].pop("cpu_temp") | {"x-unit": "K"}}
    metrics["properties"] = renamed | metrics["properties"]
    metrics["required"][0] = "processor_temperature"
    return change(document, **changes)


def write(document: object) -> bytes:
    """A document as a file has it."""
    return json.dumps(document, indent=2).encode()


def read(document: object) -> Version:
    """A document as a version."""
    return parse_version(write(document), BOOK)


def corners(schema: FieldSchema | bool) -> list[Any]:
    """Values that a field schema allows: each end of it, and each part of it alone and together."""
    if isinstance(schema, bool):
        return ["text", 2.5, True, None, [1], {"a": 1}, -3] if schema else []
    if schema.values is not None:
        return list(schema.values)
    if schema.type == "object":
        return list(_objects(schema))
    if schema.type in ("number", "integer"):
        least, most = -(-schema.least // 1), schema.most // 1
        if schema.type == "integer":
            return [int(value) for value in (least, least + 1, least + 2, most - 1, most) if least <= value <= most]
        ends = [schema.least, schema.most, (schema.least + schema.most) / 2, schema.least + 0.5]
        return [value for value in ends if schema.least <= value <= schema.most]
    if schema.type == "string":
        return [text for text in ("", "ab", "x y") if schema.pattern is None or matches(schema.pattern, text)]
    return [True, False] if schema.type == "boolean" else [[], [1]]


def _objects(schema: FieldSchema) -> Iterator[Document]:
    size = 99 if schema.size is None else schema.size
    least = {name: corners(schema.fields[name])[0] for name in schema.required}
    whole = {name: corners(field)[0] for name, field in schema.fields.items()}
    made = [least, whole, *(least | {name: value} for name in schema.fields for value in corners(schema.fields[name]))]
    # Undeclared names that no test declares: alone, and as many as there may be.
    made += [
        base | {name: value} for base in (least, whole) for name in ("zz", "Z 1") for value in corners(schema.others)
    ]
    made += [
        base | {"z" * (1 + count): value for count in range(min(size, 12) - len(base))}
        for base in (least, whole)
        for value in corners(schema.others)[:1]
    ]
    for document in made:
        if len(document) <= size and all(schema.names is None or matches(schema.names, name) for name in document):
            yield document
