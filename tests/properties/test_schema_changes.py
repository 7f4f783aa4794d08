"""Any two field schemas: events decide whether one may follow the other, and the comparison says the same."""

from typing import Any

import fastjsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.core.schemas.differences import compare_schemas
from sluice.core.schemas.rules import PATTERN_CHANGED
from tests.support.schemas import Document, corners, follow, read, released

PATTERNS = [{}, {"pattern": "^[a-z]{0,2}$", "x-says": "short"}, {"pattern": "^[a-z ]{0,9}$", "x-says": "long"}]


@st.composite
def numbers(draw: st.DrawFn) -> Document:
    least, width = draw(st.integers(-3, 3)), draw(st.integers(0, 600))
    bounds = {"minimum": least, "maximum": least + width}
    kept = draw(st.sets(st.sampled_from(sorted(bounds))))
    listed = draw(st.sampled_from([None, None, [least], [least, least + width], [least, least + 2, least + 5]]))
    schema: Document = {"type": draw(st.sampled_from(["number", "integer"]))}
    if listed is not None:
        return schema | {"enum": sorted(set(listed))}
    return schema | {name: bounds[name] for name in kept}


SCALARS = st.one_of(
    numbers(),
    numbers(),
    st.sampled_from([{"type": "string"} | pattern for pattern in PATTERNS]),
    st.sampled_from([{"type": "string", "enum": ["ab"]}, {"type": "string", "enum": ["ab", "x y"]}]),
    st.sampled_from([{"type": "boolean"}, {"type": "boolean", "enum": [True]}, {"type": "array"}]),
)


@st.composite
def objects(draw: st.DrawFn, fields: st.SearchStrategy[Document]) -> Document:
    # The same names on both sides: an undeclared field of a new name is another question, for real traffic.
    declared = {name: draw(fields) for name in ("a", "b", "c")}
    schema: Document = {"type": "object", "properties": declared}
    schema["required"] = sorted(draw(st.sets(st.sampled_from("abc"))))
    schema["additionalProperties"] = draw(st.one_of(st.booleans(), SCALARS))
    if draw(st.booleans()):
        schema["maxProperties"] = draw(st.integers(4, 9))
    return schema


FIELD_SCHEMAS = objects(st.one_of(SCALARS, SCALARS, objects(SCALARS)))


@st.composite
def edited(draw: st.DrawFn, schema: Document) -> Document:
    """A schema with some of its parts drawn again, or taken away."""
    new = dict(schema)
    for _ in range(draw(st.integers(0, 2))):
        part = draw(
            st.sampled_from(["properties", "properties", "required", "additionalProperties", "maxProperties", "less"])
        )
        drawn = draw(FIELD_SCHEMAS)
        name = draw(st.sampled_from("abc"))
        if part == "less":
            new["properties"] = {each: field for each, field in new["properties"].items() if each != name}
            new["required"] = [each for each in new["required"] if each != name]
        elif part == "properties" and name in new["properties"]:
            new["properties"] = new["properties"] | {name: drawn["properties"][name]}
        elif part == "required":
            new["required"] = [each for each in drawn["required"] if each in new["properties"]]
        elif part in drawn:
            new[part] = drawn[part]
        else:
            new.pop(part, None)
    return new


@settings(max_examples=40)
@given(st.data())
def test_events_are_rejected_if_and_only_if_a_difference_says_so(data: st.DataObject) -> None:
    previous = data.draw(FIELD_SCHEMAS)
    new = data.draw(edited(previous))
    schema = parse(previous)
    found = list(compare_schemas(schema, parse(new), ()))
    judge_previous, judge_new = fastjsonschema.compile(previous), fastjsonschema.compile(new)
    events = corners(schema)
    assert all(passes(judge_previous, event) for event in events)
    rejected = [event for event in events if not passes(judge_new, event)]
    claimed = [each for each in found if each.rejects]
    if rejected:
        assert claimed
    # Whether a pattern matches less than another is not decided: it is a breaking change in any case.
    if any(each.rule is not PATTERN_CHANGED for each in claimed):
        assert rejected


def parse(schema: Document) -> Any:
    """A schema as a version has it."""
    return read(follow(released("activity", 1), properties__metadata=schema)).schema.fields["metadata"]


def passes(check: Any, event: Any) -> bool:
    try:
        check(event)
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True
