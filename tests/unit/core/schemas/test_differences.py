"""Single edits of a schema: the differences that each makes, and that events show no more and no less."""

from itertools import product
from typing import Any

import fastjsonschema
import pytest

from sluice.core.schemas.differences import compare_schemas
from sluice.core.schemas.versions import FieldSchema, write_path
from tests.support.schemas import Document, corners, follow, read, released

TEXT: Document = {"type": "string"}
SHORT: Document = {"type": "string", "pattern": "^[a-z]{0,2}$", "x-says": "short"}
LONG: Document = {"type": "string", "pattern": "^[a-z ]{0,9}$", "x-says": "long"}
NUMBER: Document = {"type": "number"}
WHOLE: Document = {"type": "integer"}


def number(least: float, most: float, kind: str = "number") -> Document:
    return {"type": kind, "minimum": least, "maximum": most}


def values(*listed: Any, kind: str = "string") -> Document:
    return {"type": kind, "enum": list(listed)}


def box(others: Any = True, required: str = "", size: int | None = None, **fields: Document) -> Document:
    """An object with fields, of which those are required that are named."""
    limit = {} if size is None else {"maxProperties": size}
    made = {"type": "object", "properties": fields, "required": required.split(), "additionalProperties": others}
    return made | limit


OPENNESS: dict[str, Any] = {"open": True, "closed": False, "texts": TEXT}
# What is done to a field `b` beside a required field `a`: previous, new, differences.
FIELD_EDITS: dict[str, tuple[Document, Document, list[str]]] = {
    "nothing": (box(a=TEXT, required="a"), box(a=TEXT, required="a"), []),
    "add optional": (box(a=TEXT, required="a"), box(a=TEXT, b=TEXT, required="a"), []),
    "add required": (box(a=TEXT, required="a"), box(a=TEXT, b=TEXT, required="a b"), ["FIELD_NEWLY_REQUIRED b"]),
    "add optional with fields": (box(a=TEXT), box(a=TEXT, b=box(c=NUMBER)), []),
    "remove optional": (box(a=TEXT, b=TEXT, required="a"), box(a=TEXT, required="a"), ["FIELD_REMOVED b"]),
    "remove optional number": (box(a=TEXT, b=NUMBER), box(a=TEXT), ["FIELD_REMOVED b"]),
    "remove required": (box(a=TEXT, b=TEXT, required="a b"), box(a=TEXT, required="a"), ["FIELD_REMOVED b"]),
    "require optional": (box(a=TEXT, b=TEXT), box(a=TEXT, b=TEXT, required="b"), ["FIELD_NEWLY_REQUIRED b"]),
    "require required": (box(b=TEXT, required="b"), box(b=TEXT, required="b"), []),
    "no longer require": (box(a=TEXT, b=TEXT, required="a b"), box(a=TEXT, b=TEXT, required="a"), []),
    "retype optional": (box(b=TEXT), box(b=NUMBER), ["TYPE_CHANGED b"]),
    "retype required": (box(b=TEXT, required="b"), box(b=NUMBER, required="b"), ["TYPE_CHANGED b"]),
    "rename": (
        box(a=TEXT, required="a"),
        box(b=TEXT, required="b"),
        ["FIELD_REMOVED a", "FIELD_NEWLY_REQUIRED b"],
    ),
}
FIELD_CASES = [
    (
        f"{edit}, {openness}",
        previous | {"additionalProperties": others},
        new | {"additionalProperties": others},
        expected,
    )
    for (edit, (previous, new, expected)), (openness, others) in product(FIELD_EDITS.items(), OPENNESS.items())
]
TYPES: dict[str, Document] = {
    "string": TEXT,
    "number": NUMBER,
    "integer": WHOLE,
    "boolean": {"type": "boolean"},
    "array": {"type": "array"},
    "object": {"type": "object"},
}
TYPE_CASES = [
    (
        f"{one} to {other}",
        box(a=TYPES[one]),
        box(a=TYPES[other]),
        [] if one == other else ["TYPE_WIDENED a" if (one, other) == ("integer", "number") else "TYPE_CHANGED a"],
    )
    for one, other in product(TYPES, TYPES)
]
R, E, P = ["RANGE_NARROWED a"], ["ENUM_NARROWED a"], ["PATTERN_CHANGED a"]
VALUE_EDITS: list[tuple[str, Document, Document, list[str]]] = [
    ("same range", number(0, 9), number(0, 9), []),
    ("higher minimum", number(0, 9), number(1, 9), R),
    ("lower minimum", number(0, 9), number(-1, 9), []),
    ("lower maximum", number(0, 9), number(0, 8.5), R),
    ("higher maximum", number(0, 9), number(0, 9.5), []),
    ("moved range", number(0, 9), number(5, 12), R),
    ("new range", NUMBER, number(0, 9), R),
    ("range of all numbers that ingest takes", NUMBER, number(-1e15, 1e15), []),
    ("no range any more", number(0, 9), NUMBER, []),
    ("range around the only number", number(3, 3), number(2, 4), []),
    ("whole minimum that says the same", number(0.5, 9, "integer"), number(1, 9, "integer"), []),
    ("whole minimum that is higher", number(0.5, 999, "integer"), number(1.5, 999, "integer"), R),
    ("whole minimum of many that says the same", number(0.5, 999, "integer"), number(1, 999, "integer"), []),
    ("whole maximum that says the same", number(0, 999.9, "integer"), number(0, 999, "integer"), []),
    ("few whole numbers", number(1, 3, "integer"), number(2, 3, "integer"), R),
    ("whole and wider", number(1, 3, "integer"), number(0, 4), ["TYPE_WIDENED a"]),
    ("whole and narrower", number(1, 3, "integer"), number(2, 4), ["TYPE_WIDENED a", *R]),
    ("fractions no longer, and narrower", number(0, 9), number(1, 9, "integer"), ["TYPE_CHANGED a", *R]),
    ("fractions no longer, never used", values(1, 2, kind="number"), WHOLE, ["TYPE_CHANGED a"]),
    ("same values", values("a", "b"), values("b", "a"), []),
    ("one value more", values("a"), values("a", "b"), []),
    ("one value less", values("a", "b"), values("a"), E),
    ("another value", values("a"), values("b"), E),
    ("values no longer listed", values("a"), TEXT, []),
    ("values listed", TEXT, values("a"), E),
    ("constant as list", {"type": "integer", "const": 2}, values(2, 3, kind="integer"), []),
    ("another constant", {"type": "integer", "const": 2}, {"type": "integer", "const": 3}, E),
    ("all of few whole numbers listed", number(1, 2, "integer"), values(1, 2, 3, kind="integer"), []),
    ("not all of few whole numbers listed", number(1, 3, "integer"), values(1, 2, kind="integer"), E),
    ("both booleans listed", {"type": "boolean"}, values(True, False, kind="boolean"), []),
    ("one boolean listed", {"type": "boolean"}, values(True, kind="boolean"), E),
    ("values within a range", values(1, 5, kind="number"), number(1, 5), []),
    ("values out of a range", values(1, 5, kind="number"), number(1, 4), R),
    ("same pattern", SHORT, SHORT, []),
    ("no pattern any more", SHORT, TEXT, []),
    ("new pattern", TEXT, SHORT, P),
    ("shorter texts", LONG, SHORT, P),
    ("values that match", values("ab", "a"), SHORT, []),
    ("a value that does not match", values("ab", "abc"), SHORT, P),
]
VALUE_CASES = [(name, box(a=previous), box(a=new), expected) for name, previous, new, expected in VALUE_EDITS]
ANY, TEN = {"type": "object"}, box(a=TEXT, size=10)
NAMES = {"pattern": "^[a-z]{1,9}$", "x-says": "letters"}
OBJECT_CASES: list[tuple[str, Document, Document, list[str]]] = [
    ("closed", box(a=TEXT), box(False, a=TEXT), ["CLOSED *"]),
    ("opened", box(False, a=TEXT), box(a=TEXT), []),
    ("others restricted", box(a=TEXT), box(NUMBER, a=TEXT), ["TYPE_CHANGED *"]),
    ("others free", box(NUMBER, a=TEXT), box(a=TEXT), []),
    ("others let in", box(False, a=TEXT), box(NUMBER, a=TEXT), []),
    ("others closed", box(NUMBER, a=TEXT), box(False, a=TEXT), ["CLOSED *"]),
    ("others narrowed", box(number(0, 9), a=TEXT), box(number(0, 8), a=TEXT), ["RANGE_NARROWED *"]),
    ("removed, and others take it", box(NUMBER, a=number(0, 9)), box(NUMBER), ["FIELD_REMOVED a"]),
    ("removed, and others do not", box(number(0, 5), a=number(0, 9)), box(number(0, 5)), ["FIELD_REMOVED a"]),
    ("smaller", TEN, TEN | {"maxProperties": 9}, ["SIZE_NARROWED the event"]),
    ("larger", TEN, TEN | {"maxProperties": 11}, []),
    ("size limited", box(a=TEXT), TEN, ["SIZE_NARROWED the event"]),
    ("size limited where it was closed", box(False, a=TEXT), box(False, a=TEXT, size=1), []),
    ("size unlimited", TEN, box(a=TEXT), []),
    ("names limited", box(a=TEXT), box(a=TEXT) | {"propertyNames": NAMES}, ["PATTERN_CHANGED the event"]),
    ("names free", box(a=TEXT) | {"propertyNames": NAMES}, box(a=TEXT), []),
    ("names limited where it was closed", box(False, a=TEXT), box(False, a=TEXT) | {"propertyNames": NAMES}, []),
    ("fields declared", ANY, box(a=TEXT, b=NUMBER), []),
    ("fields declared and required", ANY, box(a=TEXT, required="a"), ["FIELD_NEWLY_REQUIRED a"]),
    ("fields no longer declared", box(a=TEXT), ANY, ["FIELD_REMOVED a"]),
]
CASES = FIELD_CASES + TYPE_CASES + VALUE_CASES + OBJECT_CASES
NESTED = [
    (f"{name}, nested", box(x=box(y=previous)), box(x=box(y=new)), [
        found.replace("the event", "x.y") if found.endswith("the event") else found.replace(" ", " x.y.", 1)
        for found in expected
    ])
    for name, previous, new, expected in CASES[::4]
]  # fmt: skip


def parse(schema: Document) -> FieldSchema:
    """A field schema as a version has it."""
    document = follow(released("activity", 1), properties__metadata=schema)
    return read(document).schema.fields["metadata"]


@pytest.mark.parametrize(
    ("previous", "new", "expected"), [case[1:] for case in CASES + NESTED], ids=[case[0] for case in CASES + NESTED]
)
def test_a_single_edit_is_judged_as_events_show(previous: Document, new: Document, expected: list[str]) -> None:
    schema = parse(previous)
    found = list(compare_schemas(schema, parse(new), ()))
    assert [f"{each.rule.id} {write_path(each.place)}" for each in found] == expected
    events = corners(schema)
    judge_previous, judge_new = fastjsonschema.compile(previous), fastjsonschema.compile(new)
    assert [event for event in events if not passes(judge_previous, event)] == []
    rejected = [event for event in events if not passes(judge_new, event)]
    assert bool(rejected) == any(each.rejects for each in found)


@pytest.mark.parametrize(("previous", "says"), [(box(a=TEXT), "any number"), (box(a=TEXT, size=20), "20")])
def test_a_size_that_had_no_limit_says_so(previous: Document, says: str) -> None:
    (found,) = compare_schemas(parse(previous), parse(TEN), ())
    assert (found.previous, found.new) == (says, "10")


def passes(check: Any, event: Any) -> bool:
    try:
        check(event)
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True


def test_the_table_has_every_rule_that_a_single_edit_can_break() -> None:
    named = {difference.split()[0] for *_, expected in CASES for difference in expected}
    assert named == {
        "FIELD_REMOVED", "FIELD_NEWLY_REQUIRED", "TYPE_CHANGED", "ENUM_NARROWED", "RANGE_NARROWED", "PATTERN_CHANGED",
        "SIZE_NARROWED", "CLOSED", "TYPE_WIDENED",
    }  # fmt: skip
