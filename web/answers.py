"""Writes the API's answers as TypeScript types, against which the page's JavaScript is checked."""

from pathlib import Path
from typing import Any

import msgspec

from infra.api.openapi import write_openapi

TYPES = Path(__file__).with_name("answers.d.ts")
PRIMITIVES = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
SCHEMA = "#/components/schemas/"


def write_types(document: dict[str, Any]) -> str:
    """Write the description's schemas, and the JSON answer of each operation that has one."""
    schemas: dict[str, Any] = document["components"]["schemas"]
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    answers = {
        operation["operationId"]: operation["responses"]["200"]["content"]["application/json"]["schema"]
        for operation in operations
        if "200" in operation["responses"]
    }
    named = {"Schemas": schemas, "Answers": answers}
    return "\n".join(f"export interface {name} {_interface(members, schemas)}" for name, members in named.items())


def _interface(members: dict[str, Any], schemas: dict[str, Any]) -> str:
    lines = [f"  {_literal(name)}: {_type(schema, schemas)};\n" for name, schema in members.items()]
    return "{\n" + "".join(lines) + "}\n"


def _type(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """Write a schema as a type; what the schema leaves open is unknown, and the page cannot use it unchecked."""
    if "$ref" in schema:
        name, *properties = schema["$ref"].removeprefix(SCHEMA).split("/properties/")
        return f"Schemas[{_literal(name)}]" + "".join(f"[{_literal(each)}]" for each in properties)
    if "allOf" in schema:
        return _type(_merge(schema, schemas), schemas)
    if "oneOf" in schema:
        return " | ".join(_type(each, schemas) for each in schema["oneOf"])
    if "enum" in schema:
        return " | ".join(map(_literal, schema["enum"]))
    kinds = schema.get("type", [])
    written = [_kind(kind, schema, schemas) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    return " | ".join(written) or "unknown"


def _kind(kind: str, schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    if kind == "object":
        return _object(schema, schemas)
    if kind == "array" and "prefixItems" in schema:
        return f"[{', '.join(_type(each, schemas) for each in schema['prefixItems'])}]"
    return f"({_type(schema.get('items', {}), schemas)})[]" if kind == "array" else PRIMITIVES[kind]


def _object(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """Write the properties that have a name, and what any other is."""
    additional = schema.get("additionalProperties")
    others = additional if isinstance(additional, dict) else {}
    properties, required = schema.get("properties", {}), schema.get("required", [])
    allowed = schema.get("propertyNames", {}).get("enum", [])
    members = {
        _literal(name) + ("" if name in required else "?"): properties.get(name, others)
        for name in (*properties, *required, *allowed)
    }
    if others and not allowed:
        members["[name: string]"] = others
    return "{ " + " ".join(f"{name}: {_type(each, schemas)};" for name, each in members.items()) + " }"


def _merge(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """Make one schema of those that all hold: each may say more about what the ones before it name."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].removeprefix(SCHEMA)]
    whole: dict[str, Any] = {}
    for part in schema.get("allOf", []):
        whole = _combine(whole, _merge(part, schemas))
    return _combine(whole, {name: value for name, value in schema.items() if name != "allOf"})


def _combine(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = dict(one)
    for name, value in other.items():
        if isinstance(value, dict):
            both[name] = _combine(one.get(name, {}), value)
        else:
            both[name] = [*one.get(name, []), *value] if name == "required" else value
    return both


def _literal(value: Any) -> str:
    return msgspec.json.encode(value).decode()


if __name__ == "__main__":
    TYPES.write_text(write_types(msgspec.json.decode(write_openapi())))
