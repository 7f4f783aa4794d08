"""Any two rules: events decide whether one may follow the other, and the comparison says the same."""

from typing import Any

import fastjsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.core.schemas.narrowing import compare_rules
from sluice.core.schemas.rules import PATTERN_CHANGED
from tests.support.schemas import Document, corners, follow, read, released

PATTERNS = [{}, {"pattern": "^[a-z]{0,2}$", "x-says": "short"}, {"pattern": "^[a-z ]{0,9}$", "x-says": "long"}]


@st.composite
def numbers(draw: st.DrawFn) -> Document:
    least, width = draw(st.integers(-3, 3)), draw(st.integers(0, 600))
    bounds = {"minimum": least, "maximum": least + width}
    kept = draw(st.sets(st.sampled_from(sorted(bounds))))
    listed = draw(st.sampled_from([None, None, [least], [least, least + width], [least, least + 2, least + 5]]))
    rule: Document = {"type": draw(st.sampled_from(["number", "integer"]))}
    if listed is not None:
        return rule | {"enum": sorted(set(listed))}
    return rule | {name: bounds[name] for name in kept}


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
    rule: Document = {"type": "object", "properties": declared}
    rule["required"] = sorted(draw(st.sets(st.sampled_from("abc"))))
    rule["additionalProperties"] = draw(st.one_of(st.booleans(), SCALARS))
    if draw(st.booleans()):
        rule["maxProperties"] = draw(st.integers(4, 9))
    return rule


RULES = objects(st.one_of(SCALARS, SCALARS, objects(SCALARS)))


@st.composite
def edited(draw: st.DrawFn, rule: Document) -> Document:
    """A rule with some of its parts drawn again, or taken away."""
    after = dict(rule)
    for _ in range(draw(st.integers(0, 2))):
        part = draw(
            st.sampled_from(["properties", "properties", "required", "additionalProperties", "maxProperties", "less"])
        )
        drawn = draw(RULES)
        name = draw(st.sampled_from("abc"))
        if part == "less":
            after["properties"] = {each: field for each, field in after["properties"].items() if each != name}
            after["required"] = [each for each in after["required"] if each != name]
        elif part == "properties" and name in after["properties"]:
            after["properties"] = after["properties"] | {name: drawn["properties"][name]}
        elif part == "required":
            after["required"] = [each for each in drawn["required"] if each in after["properties"]]
        elif part in drawn:
            after[part] = drawn[part]
        else:
            after.pop(part, None)
    return after


@settings(max_examples=40)
@given(st.data())
def test_events_are_rejected_if_and_only_if_a_breach_says_so(data: st.DataObject) -> None:
    before = data.draw(RULES)
    after = data.draw(edited(before))
    rule = parse(before)
    found = list(compare_rules(rule, parse(after), ()))
    judge_before, judge_after = fastjsonschema.compile(before), fastjsonschema.compile(after)
    events = corners(rule)
    assert all(passes(judge_before, event) for event in events)
    rejected = [event for event in events if not passes(judge_after, event)]
    claimed = [each for each in found if each.rejects]
    if rejected:
        assert claimed
    # Whether a pattern matches less than another is not decided: it is a breach in any case.
    if any(each.rule is not PATTERN_CHANGED for each in claimed):
        assert rejected


def parse(rule: Document) -> Any:
    """A rule as a version has it."""
    return read(follow(released("activity", 1), properties__metadata=rule)).rule.fields["metadata"]


def passes(check: Any, event: Any) -> bool:
    try:
        check(event)
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True
