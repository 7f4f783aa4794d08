"""What each verb does, what it leaves alone, and which fixes are refused."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.core.errors import Refusal
from sluice.core.redrive.fixes import IDENTITY, MOST_VERBS, fix_event, read_fix
from tests.support import samples

BOOK = samples.contracts().book


def fixed(document: Any, *verbs: dict[str, Any]) -> Any:
    return json.loads(fix_event(samples.encode(document), read_fix(list(verbs), BOOK), BOOK))


def test_a_member_is_renamed_within_its_object_and_between_objects() -> None:
    to_inner = {"verb": "rename", "path": "temp", "to": "metrics.cpu_temp"}
    assert fixed({"temp": 1, "metrics": {"a": 2}}, to_inner) == {"metrics": {"a": 2, "cpu_temp": 1}}
    beside = {"verb": "rename", "path": "metrics.temp", "to": "metrics.cpu_temp"}
    assert fixed({"metrics": {"temp": 1}}, beside) == {"metrics": {"cpu_temp": 1}}


def test_a_rename_overwrites_nothing_and_moves_nothing_into_itself() -> None:
    both = {"metrics": {"temp": 1, "cpu_temp": 2}}
    assert fixed(both, {"verb": "rename", "path": "metrics.temp", "to": "metrics.cpu_temp"}) == both
    assert fixed(both, {"verb": "rename", "path": "metrics", "to": "metrics.inner"}) == both


def test_a_name_with_dots_is_found() -> None:
    document = {"metrics": {"cpu.temp": 1}}
    assert fixed(document, {"verb": "drop", "path": "metrics.cpu.temp"}) == {"metrics": {}}


def test_a_number_is_converted_between_units_and_anything_else_is_not() -> None:
    verb = {"verb": "convert", "path": "t", "from": "degF", "to": "degC"}
    assert fixed({"t": 72}, verb) == {"t": 22.2222222222}
    for other in ("72", True, None, [72]):
        assert fixed({"t": other}, verb) == {"t": other}


@pytest.mark.parametrize(
    ("sent", "kind", "becomes"),
    [
        ("21.5", "number", 21.5),
        (" 21 ", "number", 21),
        ("21,5", "number", "21,5"),
        ("1e400", "number", "1e400"),
        ("nan", "number", "nan"),
        (3.0, "integer", 3),
        (3.5, "integer", 3.5),
        ("3", "integer", 3),
        (3.5, "string", "3.5"),
        (True, "string", "true"),
        ("false", "boolean", False),
        (1, "boolean", True),
        (2, "boolean", 2),
        ([1], "string", [1]),
        (None, "number", None),
    ],
)
def test_a_value_is_cast_if_it_can_be_read_so(sent: Any, kind: str, becomes: Any) -> None:
    cast = fixed({"v": sent}, {"verb": "cast", "path": "v", "type": kind})["v"]
    assert (type(cast), cast) == (type(becomes), becomes)


def test_a_member_is_dropped_and_set() -> None:
    assert fixed(
        {"a": {"b": 1, "c": 2}}, {"verb": "drop", "path": "a.b"}, {"verb": "set", "path": "a.d", "value": 3}
    ) == {"a": {"c": 2, "d": 3}}
    assert fixed({"a": 1}, {"verb": "set", "path": "b.c", "value": 3}) == {"a": 1}


@pytest.mark.parametrize("body", [b"[1]", b"{", b'{"a":1,"a":2}', b'{"a":NaN}', b"\xff", b'{"a":"\\ud800"}'])
def test_what_cannot_be_read_clearly_stays_as_it_is(body: bytes) -> None:
    assert fix_event(body, read_fix([{"verb": "set", "path": "b", "value": 1}], BOOK), BOOK) == body


@pytest.mark.parametrize(
    "fix",
    [
        [],
        [{"verb": "drop", "path": "b"}],
        [{"verb": "rename", "path": "b", "to": "c"}],
        [{"verb": "cast", "path": "a", "type": "number"}],
        [{"verb": "convert", "path": "t", "from": "degF", "to": "degC"}],
    ],
)
def test_where_a_fix_changes_nothing_not_a_byte_changes(fix: list[dict[str, str]]) -> None:
    assert fix_event(b'{ "a" : 1.0, "t": "x" }', read_fix(fix, BOOK), BOOK) == b'{ "a" : 1.0, "t": "x" }'


def test_a_number_beyond_a_double_is_not_written_as_another_value() -> None:
    body = b'{"a": 1e400, "b": 2}'
    assert fix_event(body, read_fix([{"verb": "drop", "path": "b"}], BOOK), BOOK) == body


def test_each_verb_is_applied_even_after_one_that_changed_something() -> None:
    assert fixed({"a": 1, "b": 2}, {"verb": "drop", "path": "a"}, {"verb": "drop", "path": "b"}) == {}


@pytest.mark.parametrize(
    ("fix", "code"),
    [
        ([{"verb": "run", "path": "a"}], "invalid_fix"),
        ([{"verb": "drop"}], "invalid_fix"),
        ([{"verb": "drop", "path": "a", "code": "x"}], "invalid_fix"),
        ([{"verb": "cast", "path": "a", "type": "list"}], "invalid_fix"),
        ([{"verb": "set", "path": "a", "value": [1]}], "invalid_fix"),
        ([{"verb": "set", "path": "a", "value": math.inf}], "invalid_fix"),
        ([{"verb": "drop", "path": ""}], "invalid_fix"),
        ([{"verb": "drop", "path": "a"}] * (MOST_VERBS + 1), "invalid_fix"),
        ("drop", "invalid_fix"),
        ([{"verb": "convert", "path": "a", "from": "furlong", "to": "m"}], "unknown_unit"),
        ([{"verb": "convert", "path": "a", "from": "degC", "to": "m"}], "units_differ"),
        *(([{"verb": "set", "path": name, "value": "one"}], "identity_fixed") for name in IDENTITY),
        *(([{"verb": "drop", "path": name}], "identity_fixed") for name in IDENTITY),
        (
            [{"verb": "set", "path": "x", "value": 1}, {"verb": "rename", "path": "x", "to": "event_id"}],
            "identity_fixed",
        ),
        (
            [
                {"verb": "set", "path": "a.b", "value": "one"},
                {"verb": "rename", "path": "a", "to": "x"},
                {"verb": "rename", "path": "x.b", "to": "event_id"},
            ],
            "identity_fixed",
        ),
    ],
)
def test_a_fix_that_means_nothing_or_would_merge_events_is_refused(fix: Any, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_fix(fix, BOOK)
    assert (refused.value.status, refused.value.code) == (400, code)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "a.b", "c"]), inner, max_size=3)
    ),
    max_leaves=10,
)
PATHS = st.sampled_from(["a", "b", "a.b", "a.b.c", "c", "b.a"])
VERBS = st.one_of(
    st.fixed_dictionaries({"verb": st.just("rename"), "path": PATHS, "to": PATHS}),
    st.fixed_dictionaries({"verb": st.just("drop"), "path": PATHS}),
    st.fixed_dictionaries({"verb": st.just("convert"), "path": PATHS, "from": st.just("degF"), "to": st.just("K")}),
    st.fixed_dictionaries(
        {"verb": st.just("cast"), "path": PATHS, "type": st.sampled_from(["number", "integer", "string", "boolean"])}
    ),
    st.fixed_dictionaries({"verb": st.just("set"), "path": PATHS, "value": st.none() | st.integers(-9, 9)}),
)


@given(ANY_JSON, st.lists(VERBS, max_size=MOST_VERBS))
def test_no_fix_fails_on_any_json_and_the_result_is_json(document: Any, verbs: list[Any]) -> None:
    body = json.dumps(document).encode()
    after = fix_event(body, read_fix(verbs, BOOK), BOOK)
    if after != body:
        msgspec.json.decode(after)
