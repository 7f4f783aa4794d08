from datetime import UTC, date, datetime

import pytest

from sluice.core.errors import Refusal
from sluice.core.query.parameters import MOST_PARAMETERS, Parameters

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def read(query: str) -> None:
    parameters = Parameters(query, ("a", "b"))
    parameters.text("a", 8)
    parameters.whole("b", 1, 10, 5)


def refused(query: str) -> tuple[int, str, str | None]:
    with pytest.raises(Refusal) as refusal:
        read(query)
    return refusal.value.status, refusal.value.code, refusal.value.parameter


@pytest.mark.parametrize(
    ("query", "code", "parameter"),
    [
        ("c=1", "unknown_parameter", "c"),
        ("a=1&A=2", "unknown_parameter", "A"),
        ("=1", "unknown_parameter", ""),
        ("a", "invalid_parameter", "a"),
        ("a=", "invalid_parameter", "a"),
        ("a=%00", "invalid_parameter", "a"),
        ("a=x%0Ay", "invalid_parameter", "a"),
        ("a=+x", "invalid_parameter", "a"),
        ("a=123456789", "invalid_parameter", "a"),
        ("a=x&a=y", "invalid_parameter", "a"),
        ("b=0", "invalid_parameter", "b"),
        ("b=11", "invalid_parameter", "b"),
        ("b=-1", "invalid_parameter", "b"),
        ("b=1.0", "invalid_parameter", "b"),
        ("b=1e1", "invalid_parameter", "b"),
        ("b=%D9%A1", "invalid_parameter", "b"),  # a digit, but not one of ours
        ("b=9999999999999999999999", "invalid_parameter", "b"),
        ("a=%FF", "invalid_query", None),
        ("a=%ED%A0%80", "invalid_query", None),  # half a surrogate pair
        ("&".join(["a=1"] * (MOST_PARAMETERS + 1)), "invalid_query", None),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_name(query: str, code: str, parameter: str | None) -> None:
    assert refused(query) == (400, code, parameter)


def test_a_long_name_is_not_told_back_whole() -> None:
    _, _, parameter = refused("x" * 10_000 + "=1")
    assert parameter == "x" * 64


def test_what_is_given_is_read_and_what_is_not_has_its_default() -> None:
    parameters = Parameters("a=%C3%BC%2C1&b=7&c=x&c=y&c=x", ("a", "b", "c", "d"))
    assert parameters.text("a", 8) == "ü,1"
    assert parameters.whole("b", 1, 10, 5) == 7
    assert parameters.texts("c", 8, 2) == ("x", "y")
    assert parameters.text("d", 8) is None
    assert parameters.whole("d", 1, 10, 5) == 5
    assert parameters.choice("d", ("x", "y"), "y") == "y"


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31T12:00Z",
        "2026-01-31T12:00:00.000000Z",
        "2026-01-31T13:00:00%2B01:00",
        "2026-01-31T13:00:00+01:00",  # the plus comes as a space
        "2026-01-31T07:00:00-05:00",
    ],
)
def test_a_time_is_read_in_every_way_it_may_be_written(text: str) -> None:
    assert Parameters(f"from={text}", ("from",)).moment("from", NOON) == NOON


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-02-30T12:00:00Z",
        "2026-01-31T12:00:60Z",
        "1999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-12:00",
        "0001-01-01T00:00:00Z",
        "1769860800",
        "2026-01-31T12:00:00Z'",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refusal:
        Parameters(f"from={text}", ("from",)).moment("from", NOON)
    assert (refusal.value.code, refusal.value.parameter) == ("invalid_parameter", "from")


@pytest.mark.parametrize("given", ["2026-02-30", "20260228", "2026-02-28T00:00:00Z", "1999-12-31", "", "2026-W09-1"])
def test_a_day_is_one_that_exists_in_its_one_form(given: str) -> None:
    with pytest.raises(Refusal) as refused:
        Parameters(f"day={given}", ("day",)).day("day", date(2026, 1, 1))
    assert (refused.value.code, refused.value.parameter) == ("invalid_parameter", "day")


def test_a_day_that_is_not_given_is_the_default() -> None:
    assert Parameters("", ("day",)).day("day", date(2026, 1, 1)) == date(2026, 1, 1)
    assert Parameters("day=2026-02-28", ("day",)).day("day", date(2026, 1, 1)) == date(2026, 2, 28)
