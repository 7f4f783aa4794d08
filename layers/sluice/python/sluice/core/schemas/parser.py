"""Parses a version of a contract, or refuses it: everything that uses a version relies on what is checked here.

Each field has one type, so that two versions can be compared. Fields that our own code reads are declared as it needs
them. The work is bounded by the size of the document.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from sluice.core.errors import Rejection
from sluice.core.events.contracts import TELEMETRY
from sluice.core.events.names import is_name
from sluice.core.events.units import SeriesBook
from sluice.core.limits import Limits
from sluice.core.schemas.errors import UnsupportedSchema
from sluice.core.schemas.fixed_fields import check_fixed
from sluice.core.schemas.keywords import ANYWHERE, AT_THE_TOP, INSTEAD, IS_TYPE, Keyword
from sluice.core.schemas.patterns import PatternError, check_pattern, matches
from sluice.core.schemas.versions import MOST_NUMBER, FieldSchema, Place, Version

MOST_BYTES = 64 * 1024
MOST_FIELDS = 256
MOST_DEPTH = Limits().max_depth
MOST_NAME = Limits().max_name

_OPTIONAL_AT_THE_TOP = ("title", "x-firmware-major")


def parse_version(content: bytes, book: SeriesBook) -> Version:
    """Parse a version of a contract, or refuse it with the first reason."""
    document = _parse(content)
    for keyword, known in AT_THE_TOP.items():
        if keyword in document:
            _check_value((keyword,), known, document[keyword])
        elif keyword not in _OPTIONAL_AT_THE_TOP:
            raise UnsupportedSchema("missing", (), f"{keyword} is missing: {known.says}")
    contract, number, major = document["x-contract"], document["x-version"], document.get("x-firmware-major")
    if document["$id"] != (wanted := f"urn:sluice:{contract}:{number}"):
        raise UnsupportedSchema("identity", ("$id",), f"the id of {contract} {number} is {wanted}")
    if (contract == TELEMETRY) != (major is not None):
        raise UnsupportedSchema(
            "identity", (), "x-firmware-major is missing" if major is None else f"{contract} has no x-firmware-major"
        )
    root = {keyword: value for keyword, value in document.items() if keyword not in AT_THE_TOP}
    version = Version(contract, number, major, _Parser(contract, book).parse_field(root, (), 1))
    check_fixed(version)
    return version


def _parse(content: bytes) -> dict[str, Any]:
    if len(content) > MOST_BYTES:
        raise UnsupportedSchema("too_large", (), f"it has more than {MOST_BYTES} bytes")
    try:
        document = json.loads(content.decode(), object_pairs_hook=_make_object)
    except RecursionError:
        raise UnsupportedSchema("too_large", (), "it is nested too deeply") from None
    except ValueError as error:
        raise UnsupportedSchema("no_json", (), f"it is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise UnsupportedSchema("no_object", (), "a schema is a JSON object")
    return document


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        (name, _), *_ = (Counter(name for name, _ in pairs)).most_common(1)
        raise ValueError(f"{name!r} stands twice in one object")
    return made


def _check_value(place: Place, keyword: Keyword, value: object) -> None:
    if not keyword.holds(value):
        raise UnsupportedSchema("keyword_value", place, f"{place[-1]} must be {keyword.says}")


class _Parser:
    """A schema while its fields are parsed."""

    def __init__(self, contract: str, book: SeriesBook) -> None:
        self._metrics: Place = ("properties", "metrics", "properties") if contract == TELEMETRY else ()
        self._book = book
        self._fields = 0
        self._continued: dict[str, str] = {}

    def parse_field(self, schema: object, place: Place, depth: int) -> FieldSchema:
        """Parse the schema of a field, and those within it."""
        if not isinstance(schema, dict):
            raise UnsupportedSchema("keyword_value", place, "a field schema is an object")
        if depth > MOST_DEPTH:
            raise UnsupportedSchema("too_large", place, f"fields are nested in more than {MOST_DEPTH} levels")
        if "type" not in schema:
            raise UnsupportedSchema("missing", place, f"type is missing: {ANYWHERE['type'].says}")
        _check_value((*place, "type"), ANYWHERE["type"], schema["type"])
        for keyword, value in schema.items():
            _check_keyword(keyword, value, schema["type"], (*place, keyword))
        if schema["type"] == "object":
            return self._parse_object(schema, place, depth)
        series, unit = self._parse_lineage(schema, place)
        return _parse_scalar(schema, place, series, unit)

    def _parse_object(self, schema: Mapping[str, Any], place: Place, depth: int) -> FieldSchema:
        declared, required = schema.get("properties", {}), schema.get("required", [])
        self._fields += len(declared)
        if self._fields > MOST_FIELDS:
            raise UnsupportedSchema("too_large", place, f"it declares more than {MOST_FIELDS} fields")
        names = schema.get("propertyNames")
        if names is not None:
            if names.keys() != {"pattern", "x-says"}:
                raise UnsupportedSchema("keyword_value", (*place, "propertyNames"), "it has pattern and x-says alone")
            for keyword, value in names.items():
                _check_keyword(keyword, value, "string", (*place, "propertyNames", keyword))
            _check_pattern(names, (*place, "propertyNames"))
        for name in declared:
            if not is_name(name, MOST_NAME) or (names is not None and not matches(names["pattern"], name)):
                raise UnsupportedSchema(
                    "name", (*place, "properties"), f"{name[:MOST_NAME]!r} is a name that no event may have"
                )
        if undeclared := [name for name in required if name not in declared]:
            raise UnsupportedSchema(
                "required", (*place, "required"), f"{undeclared[0][:MOST_NAME]!r} is required and not declared"
            )
        size = schema.get("maxProperties")
        if size is not None and size < len(required):
            raise UnsupportedSchema("range", (*place, "maxProperties"), f"{len(required)} fields are required")
        others = schema.get("additionalProperties", True)
        return FieldSchema(
            "object",
            fields={
                name: self.parse_field(below, (*place, "properties", name), depth + 1)
                for name, below in declared.items()
            },
            required=frozenset(required),
            others=others
            if isinstance(others, bool)
            else self.parse_field(others, (*place, "additionalProperties"), depth + 1),
            names=None if names is None else names["pattern"],
            size=size,
        )

    def _parse_lineage(self, schema: Mapping[str, Any], place: Place) -> tuple[str | None, str | None]:
        series, unit = schema.get("x-series"), schema.get("x-unit")
        if series is None and unit is None:
            return None, None
        if place[:-1] != self._metrics:
            raise UnsupportedSchema("lineage", place, "only metrics of telemetry continue a series")
        if series is None or unit is None:
            raise UnsupportedSchema("lineage", place, "x-series and x-unit stand together")
        try:
            self._book.in_series_unit(series, 0, unit)
        except Rejection as rejection:
            raise UnsupportedSchema("lineage", place, rejection.message) from None
        if (other := self._continued.setdefault(series, place[-1])) != place[-1]:
            raise UnsupportedSchema("lineage", (*place, "x-series"), f"{other} continues the series {series} already")
        return series, unit


def _check_keyword(keyword: str, value: object, kind: str, place: Place) -> None:
    """Check that a keyword is supported for a type of field, and its value."""
    known = ANYWHERE.get(keyword)
    if known is None:
        instead = f": {INSTEAD[keyword]}" if keyword in INSTEAD else ""
        raise UnsupportedSchema("unsupported_keyword", place, f"{keyword[:MOST_NAME]!r} is not supported here{instead}")
    if known.types and kind not in known.types:
        raise UnsupportedSchema(
            "unsupported_keyword", place, f"{keyword} is for the type {' or '.join(known.types)}, not {kind}"
        )
    _check_value(place, known, value)


def _parse_scalar(schema: Mapping[str, Any], place: Place, series: str | None, unit: str | None) -> FieldSchema:
    kind = schema["type"]
    least, most = schema.get("minimum", -MOST_NUMBER), schema.get("maximum", MOST_NUMBER)
    if math.ceil(least) > math.floor(most) if kind == "integer" else least > most:
        raise UnsupportedSchema("range", (*place, "minimum"), "no number is between minimum and maximum")
    _check_pattern(schema, place)
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    parsed = FieldSchema(
        kind, least, most, None if values is None else tuple(values), schema.get("pattern"), series=series, unit=unit
    )
    if values is not None:
        keyword = "enum" if "enum" in schema else "const"
        if "enum" in schema and "const" in schema:
            raise UnsupportedSchema("unsupported_keyword", (*place, "const"), "enum and const exclude each other")
        if not all(IS_TYPE[kind](value) and _allows(parsed, value) for value in values):
            raise UnsupportedSchema("keyword_value", (*place, keyword), f"a value is no {kind} that the field may have")
        if len(set(values)) < len(values):
            raise UnsupportedSchema("keyword_value", (*place, keyword), "a value stands twice")
    return parsed


def _allows(schema: FieldSchema, value: Any) -> bool:
    """Return whether the range and pattern of a field allow a single value of its type."""
    if isinstance(value, str):
        return schema.pattern is None or matches(schema.pattern, value)
    return isinstance(value, bool) or schema.least <= value <= schema.most


def _check_pattern(schema: Mapping[str, Any], place: Place) -> None:
    if "pattern" not in schema:
        return
    if "x-says" not in schema:
        raise UnsupportedSchema("missing", place, "x-says is missing: the pattern in words, for authors of devices")
    try:
        check_pattern(schema["pattern"])
    except PatternError as error:
        raise UnsupportedSchema("pattern", (*place, "pattern"), f"the pattern {error}") from None
