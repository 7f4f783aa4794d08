"""The age of the backlog, found by asking for the offsets of moments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.core.ingest.backlog import find_age, holds_older
from sluice.core.offsets import Extent, find_unread


def test_unread_is_what_lies_behind_the_consumer_and_is_still_there() -> None:
    extents = {0: Extent(0, 10), 1: Extent(5, 10), 2: Extent(0, 10), 3: Extent(0, 0), 4: Extent(7, 9), 5: Extent(0, 4)}
    committed = {0: 4, 1: 3, 2: 10, 4: 9, 5: 6}  # 3 was never read from, and 5 has been read since it was asked for
    assert find_unread(extents, committed) == {0: 4, 1: 5}


def test_what_was_never_read_waits_from_the_beginning() -> None:
    assert find_unread({0: Extent(3, 10)}, {}) == {0: 3}


def test_something_is_older_where_the_moment_lies_behind_it() -> None:
    assert not holds_older({0: 4, 1: 5}, {0: 4, 1: 2})
    assert holds_older({0: 4, 1: 5}, {0: 4, 1: 6})
    assert holds_older({0: 4, 1: 5}, {0: 4})
    assert not holds_older({}, {0: 4})


@given(st.floats(0, 30_000))
def test_an_age_is_found_as_exactly_as_was_asked_with_few_questions(age: float) -> None:
    asked: list[float] = []

    def is_older(than: float) -> bool:
        asked.append(than)
        return age > than

    found = find_age(is_older, longest=28_800, exact_to=120)
    assert found <= age
    assert age - found <= 120 or found >= 28_800 - 120
    assert len(asked) <= 9


def test_what_is_read_at_once_costs_one_question() -> None:
    asked: list[float] = []

    def is_older(than: float) -> bool:
        asked.append(than)
        return False

    assert find_age(is_older, longest=100, exact_to=1) == 0
    assert asked == [1]


@pytest.mark.parametrize("offset", [3, 4])
def test_a_record_that_is_of_that_very_moment_is_not_older(offset: int) -> None:
    assert not holds_older({0: 4}, {0: offset})
