"""The types that the page is checked against equal the API's description."""

from typing import Any

import pytest

from web.answers import write_types

LIST = {"type": "object", "required": ["items"], "properties": {"items": {"type": "array"}}}


def type_of(schema: dict[str, Any]) -> str:
    """Write one schema, beside a list that it may refer to."""
    written = write_types({"components": {"schemas": {"List": LIST, "It": schema}}, "paths": {}})
    (line,) = [line for line in written.splitlines() if line.startswith('  "It": ')]
    return line.removeprefix('  "It": ').removesuffix(";")


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({"type": "integer", "minimum": 0}, "number"),
        ({"type": ["string", "null"], "format": "date-time"}, "string | null"),
        ({"enum": ["gap", None]}, '"gap" | null'),
        ({"oneOf": [{"type": "string"}, {"$ref": "#/components/schemas/List"}]}, 'string | Schemas["List"]'),
        ({"$ref": "#/components/schemas/List/properties/items"}, 'Schemas["List"]["items"]'),
        ({"type": "array", "items": {"type": ["number", "null"]}}, "(number | null)[]"),
        ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}]}, "[string, number]"),
        ({"description": "anything"}, "unknown"),
        (
            {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, "b": {"type": "string"}}},
            '{ "a": string; "b"?: string; }',
        ),
        (
            {"type": "object", "required": ["1m"], "additionalProperties": {"type": "number"}},
            '{ "1m": number; [name: string]: number; }',
        ),
        (
            {"type": "object", "propertyNames": {"enum": ["late"]}, "additionalProperties": {"type": "number"}},
            '{ "late"?: number; }',
        ),
        (
            {
                "allOf": [
                    {"$ref": "#/components/schemas/List"},
                    {
                        "required": ["as_of"],
                        "properties": {"as_of": {"type": "string"}, "items": {"items": {"type": "string"}}},
                    },
                ]
            },
            '{ "items": (string)[]; "as_of": string; }',
        ),
    ],
)
def test_a_schema_is_written_as_the_type_that_says_the_same(schema: dict[str, Any], written: str) -> None:
    assert type_of(schema) == written


def test_the_answer_of_an_operation_is_named_by_the_operation() -> None:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/List"}}}
    get = {"operationId": "listFleets", "responses": {"200": {"content": content}}}
    post = {"operationId": "postActivity", "responses": {"202": {}}}
    written = write_types({"components": {"schemas": {"List": LIST}}, "paths": {"/v1": {"get": get, "post": post}}})
    _, answers = written.split("export interface Answers ")
    assert answers == '{\n  "listFleets": Schemas["List"];\n}\n'
