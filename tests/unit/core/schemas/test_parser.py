"""Whether a document is a schema that Sluice can use."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import fastjsonschema
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.core.errors import Rejection
from sluice.core.events.contracts import Contracts
from sluice.core.schemas.errors import UnsupportedSchema
from sluice.core.schemas.keywords import ANYWHERE
from sluice.core.schemas.parser import MOST_BYTES, parse_version
from tests.support import samples
from tests.support.schemas import BOOK, REMOVED, Document, change, follow, fourth, read, released, write

METRIC = {"type": "number", "x-series": "power", "x-unit": "W"}
M = "properties__metrics"


def refusal(content: bytes) -> UnsupportedSchema:
    with pytest.raises(UnsupportedSchema) as refused:
        parse_version(content, BOOK)
    return refused.value


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"", "no_json", "it is no JSON"),
        (b"\xff{}", "no_json", "it is no JSON"),
        (b'{"a": 1, "a": 2}', "no_json", "'a' stands twice"),
        (b"[1]", "no_object", "a JSON object"),
        (b"[" * MOST_BYTES, "too_large", "nested too deeply"),
        (b" " * (MOST_BYTES + 1), "too_large", "more than 65536 bytes"),
        (b"{}", "missing", "$schema is missing"),
    ],
)
def test_what_is_no_schema_is_refused(content: bytes, code: str, said: str) -> None:
    refused = refusal(content)
    assert (refused.code, refused.path) == (code, "$")
    assert said in str(refused)


def deep(levels: int) -> Document:
    return {"type": "object", "properties": {"a": deep(levels - 1)}} if levels else {"type": "string"}


WIDE = {"type": "object", "properties": {f"field{number}": {"type": "string"} for number in range(257)}}
FREE = "properties__diagnostics"


@pytest.mark.parametrize(
    ("changes", "path", "said"),
    [
        ({"$schema": "https://json-schema.org/draft/2020-12/schema"}, "$.$schema", "draft-07"),
        ({"$schema": 7}, "$.$schema", "draft-07"),
        ({"$id": "urn:sluice:telemetry:3"}, "$.$id", "urn:sluice:telemetry:4"),
        ({"x-contract": REMOVED}, "$", "x-contract is missing"),
        ({"x-contract": "alert"}, "$.x-contract", "telemetry, reading or activity"),
        ({"x-contract": ["telemetry"]}, "$.x-contract", "telemetry, reading or activity"),
        ({"x-version": REMOVED}, "$", "x-version is missing"),
        ({"x-version": True}, "$.x-version", "whole number"),
        ({"x-version": 4.0}, "$.x-version", "whole number"),
        ({"x-firmware-major": REMOVED}, "$", "x-firmware-major is missing"),
        ({"x-firmware-major": 5}, "$.properties.device_firmware_version.pattern", "begins with ^5"),
        ({"type": REMOVED}, "$", "type is missing"),
        ({"type": "string"}, "$.required", "for the type object, not string"),
        ({"title": "t" * 1001}, "$.title", "at most 1000"),
        ({"$ref": "#"}, "$.$ref", "write the field schema itself"),
        ({"definitions": {}}, "$.definitions", "'definitions' is not supported"),
        ({f"{FREE}__$ref": "#"}, "$.properties.diagnostics.$ref", "write the field schema itself"),
        ({f"{FREE}__$id": "other"}, "$.properties.diagnostics.$id", "not supported here"),
        ({f"{FREE}__default": {}}, "$.properties.diagnostics.default", "fills nothing in"),
        ({f"{FREE}__oneOf": []}, "$.properties.diagnostics.oneOf", "not supported"),
        ({f"{FREE}__patternProperties": {}}, "$.properties.diagnostics.patternProperties", "not supported"),
        ({FREE: True}, "$.properties.diagnostics", "a field schema is an object"),
        ({f"{FREE}__type": ["object", "null"]}, "$.properties.diagnostics.type", "one of object"),
        ({FREE: {"type": "string", "maxLength": 5}}, "$.properties.diagnostics.maxLength", "write a pattern"),
        ({FREE: {"type": "string", "minimum": 5}}, "$.properties.diagnostics.minimum", "number or integer"),
        ({FREE: {"type": "string", "pattern": "^a$"}}, "$.properties.diagnostics", "x-says is missing"),
        (
            {FREE: {"type": "string", "pattern": "^a*$", "x-says": "a"}},
            "$.properties.diagnostics.pattern",
            "upper limit",
        ),
        ({FREE: {"type": "number", "minimum": 1e16}}, "$.properties.diagnostics.minimum", "from -1e+15 to 1e+15"),
        ({FREE: {"type": "number", "maximum": float("inf")}}, "$.properties.diagnostics.maximum", "1e+15"),
        ({FREE: {"type": "number", "minimum": float("nan")}}, "$.properties.diagnostics.minimum", "1e+15"),
        ({FREE: {"type": "number", "minimum": 2, "maximum": 1}}, "$.properties.diagnostics.minimum", "no number"),
        ({FREE: {"type": "integer", "minimum": 0.2, "maximum": 0.8}}, "$.properties.diagnostics.minimum", "no number"),
        ({FREE: {"type": "integer", "enum": [1, True]}}, "$.properties.diagnostics.enum", "is no integer"),
        ({FREE: {"type": "number", "enum": [1, 1.0]}}, "$.properties.diagnostics.enum", "stands twice"),
        ({FREE: {"type": "number", "enum": []}}, "$.properties.diagnostics.enum", "1 to 256 values"),
        ({FREE: {"type": "number", "enum": [[1]]}}, "$.properties.diagnostics.enum", "is no number"),
        ({FREE: {"type": "number", "enum": [3], "maximum": 2}}, "$.properties.diagnostics.enum", "the field may have"),
        ({FREE: {"type": "number", "enum": [3], "const": 3}}, "$.properties.diagnostics.const", "exclude each other"),
        ({FREE: {"type": "object", "const": {}}}, "$.properties.diagnostics.const", "not object"),
        (
            {f"{FREE}__properties": {" a": {"type": "string"}}},
            "$.properties.diagnostics.properties",
            "no event may have",
        ),
        (
            {f"{FREE}__properties": {"a" * 65: {"type": "string"}}},
            "$.properties.diagnostics.properties",
            "no event may",
        ),
        ({f"{FREE}__required": ["a"]}, "$.properties.diagnostics.required", "not declared"),
        ({f"{FREE}__required": [{}]}, "$.properties.diagnostics.required", "list of different names"),
        ({f"{M}__maxProperties": 1}, "$.properties.metrics.maxProperties", "2 fields are required"),
        ({f"{M}__propertyNames": {"enum": ["a"]}}, "$.properties.metrics.propertyNames", "pattern and x-says alone"),
        (
            {f"{M}__propertyNames": {"pattern": "^[a-z]{1,9}$", "x-says": "short"}},
            "$.properties.metrics.properties",
            "no event may have",
        ),
        (
            {f"{M}__propertyNames__pattern": "^(a|a){50}$"},
            "$.properties.metrics.propertyNames.pattern",
            "more than 4096 ways",
        ),
        ({FREE: WIDE}, "$.properties.diagnostics", "more than 256 fields"),
        ({FREE: deep(8)}, "$.properties.diagnostics" + ".properties.a" * 7, "more than 8 levels"),
        ({f"{M}__properties__x": METRIC | {"x-series": "mood"}}, "$.properties.metrics.properties.x", "'mood'"),
        ({f"{M}__properties__x": METRIC | {"x-unit": "furlong"}}, "$.properties.metrics.properties.x", "W, kW can"),
        ({f"{M}__properties__x": METRIC | {"x-unit": "V"}}, "$.properties.metrics.properties.x", "'V' cannot"),
        ({f"{M}__properties__x": {"type": "number", "x-unit": "V"}}, "$.properties.metrics.properties.x", "together"),
        ({f"{M}__properties__x": METRIC | {"type": "string"}}, "$.properties.metrics.properties.x.x-series", "string"),
        (
            {f"{M}__properties__x": METRIC | {"x-series": "humidity", "x-unit": "%RH"}},
            "$.properties.metrics.properties.x.x-series",
            "humidity continues the series humidity already",
        ),
        ({"properties__load": METRIC}, "$.properties.load", "only metrics of telemetry"),
        (
            {"properties__event_id": REMOVED, "required": ["device_id"]},
            "$.properties.event_id",
            "Sluice reads event_id",
        ),
        ({"properties__timestamp": {"type": "number"}}, "$.properties.timestamp", "the type string"),
        ({"properties__timestamp": {"type": "string"}}, "$.properties.timestamp", "needs a pattern"),
        ({"required": ["event_id"]}, "$.required", "device_id: it must be required"),
        ({f"{M}__maxProperties": REMOVED}, "$.properties.metrics", "need maxProperties"),
        ({f"{M}__propertyNames": REMOVED}, "$.properties.metrics", "and propertyNames"),
        ({f"{M}__additionalProperties": REMOVED}, "$.properties.metrics", "every metric is a number"),
        ({f"{M}__additionalProperties": {"type": "string"}}, "$.properties.metrics", "every metric is a number"),
        ({f"{M}__properties__state": {"type": "string"}}, "$.properties.metrics", "every metric is a number"),
    ],
)
def test_what_sluice_cannot_use_is_refused_with_a_sentence_and_its_place(
    changes: dict[str, Any], path: str, said: str
) -> None:
    refused = refusal(write(fourth(**changes)))
    assert refused.path == path
    assert said in str(refused)


def test_readings_and_activity_say_their_version_by_a_constant_and_have_no_firmware() -> None:
    reading = follow(released("reading", 2))
    assert read(reading).name == "reading 3"
    assert "const 3" in str(refusal(write(change(reading, properties__schema_version__const=2))))
    assert "has no x-firmware-major" in str(refusal(write(reading | {"x-firmware-major": 3})))


PLACES = [
    ["required"],
    ["properties", "event_id"],
    ["properties", "diagnostics"],
    ["properties", "metrics"],
    ["properties", "metrics", "properties"],
    ["properties", "metrics", "properties", "humidity"],
    ["properties", "metrics", "additionalProperties"],
    ["properties", "metrics", "propertyNames"],
    [],
]
BOX = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
VALUES = st.sampled_from(
    [None, True, False, 0, 1, 64, -1.5, "", "number", "string", "object", [], ["humidity"], {}, {"type": "number"}, BOX]
)
EVENTS: list[Callable[[Document], Any]] = [
    lambda event: event.update(diagnostics={"a": 1}),
    lambda event: event["metrics"].update(humidity="wet"),
    lambda event: event["metrics"].update(extra=1),
    lambda event: event.update(diagnostics=5),
    lambda event: event.update(event_id=7),
    lambda event: event.update(metrics=[1]),
]


@settings(max_examples=80)
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from([*ANYWHERE, "a"]), VALUES), min_size=1, max_size=3))
def test_what_is_taken_compiles_and_judges_any_event_or_rejects_it_in_words(edits: list[tuple[Any, str, Any]]) -> None:
    document = fourth()
    for place, keyword, value in edits:
        within: Any = document
        for step in place:
            within = within.get(step) if isinstance(within, dict) else None
        if isinstance(within, dict):
            within[keyword] = value
    try:
        read(document)
    except UnsupportedSchema:
        return
    jsonschema.Draft7Validator.check_schema(document)
    fastjsonschema.compile(document)
    contracts = Contracts([document], BOOK)
    for spoil in EVENTS:
        event = samples.read("telemetry-v3.json") | {"device_firmware_version": "4.0.0"}
        event["metrics"]["processor_temperature"] = event["metrics"].pop("cpu_temp")
        spoil(event)
        with suppress(Rejection):
            contracts.undeclared(contracts.judge("telemetry", "demo", json.dumps(event).encode(), event), event)
