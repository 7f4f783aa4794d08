"""Patterns that ingest may run: their cost is bounded on any text."""

import time

import fastjsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.core.events.violations import list_violations
from sluice.core.schemas.patterns import MOST_CHARACTERS, PatternError, check_pattern, matches


@pytest.mark.parametrize(
    "pattern",
    [
        "^$",
        "^[a-z0-9-]{1,32}$",
        "^[^-]?$",
        r"^[\u0041-\x5a\]]$",
        "^(?:on|off)$",
        "^(-[0-9a-f]{4}){3}$",
        r"^1\.[0-9]{1,9}(\.[0-9]{1,9})?$",
        "^((a|b)(c|d)){2}$",
        "^a{0}$",
    ],
)
def test_a_pattern_with_bounded_repeats_is_taken(pattern: str) -> None:
    check_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("^a*$", "without an upper limit"),
        ("^a+$", "without an upper limit"),
        ("^a{1,}$", "without an upper limit"),
        ("^(a+)+$", "without an upper limit"),
        ("^(a{1,9}){1,9}$", "more than 4096 ways"),
        ("^(a|a){50}$", "more than 4096 ways"),
        ("^(a?){20}$", "more than 4096 ways"),
        ("^(a?){0,12}$", "more than 4096 ways"),
        ("^" + "(a|b)" * 13 + "$", "more than 4096 ways"),
        ("^a{0,99}a{0,99}b$", "more than 4096 ways"),
        ("^(a{100}){100}$", "more than 1024 characters"),
        ("^a{9999}$", "repeats up to 9999 times"),
        ("^a{3,1}$", "repeats up to 1 times"),
        ("^(?=a)a$", "looks around"),
        ("^(?<!a)b$", "looks around"),
        ("^(?P<x>a)$", "names a group"),
        ("^(?i:a)$", "sets a flag"),
        (r"^(a)\1$", "a back-reference"),
        (r"^\d$", "write [0-9]"),
        ("^.$", "no supported meaning"),
        ("^a??$", "no supported meaning"),
        ("^[a&&b]$", "a class such as [a-z_]"),
        ("^[]$", "a class such as [a-z_]"),
        ("^[z-a]$", "is no regular expression"),
        ("abc", "begins with ^ and ends with $"),
        ("^a|b$", "alternatives outside of a group"),
        ("^a)(b$", "ends a group that did not begin"),
        ("^(a$", "does not end"),
        ("^" + "(" * 9 + "a" + ")" * 9 + "$", "more than 8 groups"),
        ("^" + "a" * MOST_CHARACTERS + "$", "1002 characters"),
        ("^a\\$", "a backslash before its $"),
        ("^a\\\\$", "a backslash before its $"),
        ("^[$]$", "a class such as [a-z_]"),
    ],
)
def test_a_pattern_that_could_take_long_or_means_another_thing_elsewhere_is_refused(pattern: str, said: str) -> None:
    with pytest.raises(PatternError) as refused:
        check_pattern(pattern)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "pattern", ["^a{0,64}a{0,62}b$", "^" + "(a|a)" * 12 + "b$", "^" + "a?" * 12 + "c$", "^(a|a{1,15}){3}b$"]
)
def test_the_most_ways_that_are_taken_cost_milliseconds_on_the_worst_text(pattern: str) -> None:
    check_pattern(pattern)
    began = time.process_time()
    assert not matches(pattern, "a" * 32_000)
    assert time.process_time() - began < 0.1


def test_the_end_of_a_pattern_is_the_end_of_the_text() -> None:
    assert matches("^a$", "a")
    assert not matches("^a$", "a\n")


PIECES = [
    "a",
    "b",
    "[$]",
    r"[\$]",
    r"\\",
    r"\$",
    "(a|b)",
    "(?:",
    "[^a]",
    "{1,3}",
    "?",
    "(",
    "|",
    ")",
    "[a-]",
    '"',
    "'",
    "{",
    "}",
]
PIECES += [
    " ",
    r"\/",
    r"\"",
    "['\"]",
    r"[^\\]",
    r"\{",
    "#",
    r"\u0041",
    r"[\x41-\x42]",
    "\n",
    "[\n]",
    "[(]",
    "[{}]",
    "[^^]",
]
TEXTS = ["", "a", "b", "ab", "\\", "$", '"', "'", "a\n", "{}", " ", "A", "\n", "#", "/", "(", "^", "a$"]


@settings(max_examples=100)
@given(st.lists(st.sampled_from(PIECES), max_size=4).map(lambda pieces: f"^{''.join(pieces)}$"))
def test_what_is_taken_compiles_for_ingest_and_means_the_same_to_the_listing_of_violations(pattern: str) -> None:
    try:
        check_pattern(pattern)
    except PatternError:
        return
    rule = {"type": "string", "pattern": pattern, "x-says": "such a text"}
    judge = fastjsonschema.compile(rule)
    for text in TEXTS:
        try:
            judge(text)
        except fastjsonschema.JsonSchemaValueException:
            assert not matches(pattern, text)
            assert list_violations(rule, text)
        else:
            assert matches(pattern, text)
            assert list_violations(rule, text) == ()
