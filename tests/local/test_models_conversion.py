"""JSON to rows by the columns of a table."""

import json
from datetime import datetime
from typing import Any

import pytest

from local.models.config import ColumnConfig
from local.models.conversion import Conversion, Malformed

COLUMNS = {
    "name": "string",
    "small": "int",
    "large": "bigint",
    "ratio": "double",
    "yes": "boolean",
    "at": "timestamp",
    "tags": "array<string>",
    "metrics": "map<string,double>",
}
CONVERSION = Conversion([ColumnConfig(name, kind) for name, kind in COLUMNS.items()])


def rows(data: bytes) -> Any:
    return CONVERSION.table(CONVERSION.rows(data)).to_pylist(maps_as_pydicts="strict")


def row(**values: Any) -> Any:
    (found,) = rows(json.dumps(values).encode())
    return found


def test_a_row_has_every_column_with_its_type() -> None:
    assert row(
        name="ä",
        small=1,
        large=2**60,
        ratio=1,
        yes=True,
        at="2026-01-02T03:04:05.678Z",
        tags=["a", "b"],
        metrics={"x": 1.5, "y": 2},
    ) == {
        "name": "ä",
        "small": 1,
        "large": 2**60,
        "ratio": 1.0,
        "yes": True,
        "at": datetime(2026, 1, 2, 3, 4, 5, 678000),  # noqa: DTZ001 - the table has no zones
        "tags": ["a", "b"],
        "metrics": {"x": 1.5, "y": 2.0},
    }


def test_keys_without_a_column_are_dropped_and_columns_without_a_key_are_null() -> None:
    assert row(name="a", other=1) == {**dict.fromkeys(COLUMNS), "name": "a"}


@pytest.mark.parametrize(
    "data",
    [
        b'{"name":"a"}\n{"name":"b"}\n',
        b'{"name":"a"}{"name":"b"}',
        b' {"name":"a"}\r\n\n  {"name":"b"} ',
        b'{\n  "name": "a"\n}\n{\n  "name": "b"\n}',
    ],
)
def test_a_record_may_hold_several_objects(data: bytes) -> None:
    assert [found["name"] for found in rows(data)] == ["a", "b"]


@pytest.mark.parametrize(
    ("column", "value", "kept"),
    [
        ("small", "12", 12),
        ("small", 5.0, 5),
        ("ratio", "1.5", 1.5),
        ("yes", "true", True),
        ("yes", "perhaps", None),
        ("name", 1.5, "1.5"),
        ("name", True, "true"),
        ("name", {"a": [1]}, '{"a":[1]}'),
        ("name", "\ud800x", "?x"),
        ("tags", ["a", 1, None], ["a", "1", None]),
        ("metrics", {"a": None, "b": "2"}, {"a": None, "b": 2.0}),
        ("metrics", {"\ud800": 1}, {"?": 1.0}),
    ],
)
def test_a_value_of_another_type_is_made_one_of_its_column(column: str, value: Any, kept: Any) -> None:
    assert row(**{"name": "", column: value})[column] == kept


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("small", "twelve"),
        ("small", 2**31),
        ("small", [1]),
        ("large", 2**63),
        ("ratio", {}),
        ("ratio", "oops"),
        ("at", "yesterday"),
        ("at", True),
        ("at", 1e300),
        ("tags", "a"),
        ("metrics", [1]),
        ("metrics", {"a": "x", "b": "2"}),
    ],
)
def test_a_value_that_cannot_be_one_of_its_column_fails_its_record(column: str, value: Any) -> None:
    with pytest.raises(Malformed, match="does not match the schema") as failed:
        row(**{"name": "", column: value})
    assert failed.value.code == "DataFormatConversion.MalformedData"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05"),
        ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456"),
        ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05"),
        ("2026-01-02 03:04:05", "2026-01-02T03:04:05"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59"),
        (1_767_323_045, "2026-01-02T03:04:05"),
        (1_767_323_045_000, "2026-01-02T03:04:05"),
        ("9999-12-31T23:59:59-14:00", None),
    ],
)
def test_timestamps_are_utc_whichever_way_they_are_written(value: Any, kept: str | None) -> None:
    found = row(at=value)["at"]

    # The last digit of nine may be rounded or cut.
    assert (found and found.isoformat()[:25]) == (kept and kept[:25])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"nothing", "ParseError"),
        (b'{"name":"a"', "ParseError"),
        (b'{"name":"a"}{', "ParseError"),
        (b'{"a": NaN}', "ParseError"),
        (b"\xff{}", "ParseError"),
        (b"[1]", "MalformedData"),
        (b"1", "MalformedData"),
        (b"null", "MalformedData"),
        (b'{"name":"a"}[]', "MalformedData"),
        (b"", "MalformedData"),
        (b" \n", "MalformedData"),
    ],
)
def test_a_record_that_is_not_json_objects_fails(data: bytes, code: str) -> None:
    with pytest.raises(Malformed) as failed:
        CONVERSION.rows(data)
    assert failed.value.code == f"DataFormatConversion.{code}"


def test_nesting_beyond_measure_is_malformed() -> None:
    with pytest.raises(Malformed):
        CONVERSION.rows(b'{"name":' + b"[" * 100_000)


def test_a_column_type_the_model_does_not_know_is_named() -> None:
    with pytest.raises(ValueError, match="struct<a:int>"):
        Conversion([ColumnConfig("a", "struct<a:int>")])
