from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sluice.core.offsets import span


def test_neighbours_are_one_range_up_to_but_not_including_its_end() -> None:
    assert span([]) == []
    assert span([7]) == [(7, 8)]
    assert span([3, 1, 2, 2, 9, 5]) == [(1, 4), (5, 6), (9, 10)]


@given(st.lists(st.integers(0, 40)))
def test_ranges_hold_what_was_put_in_and_are_as_few_as_can_be(offsets: list[int]) -> None:
    spans = span(offsets)
    assert [offset for start, end in spans for offset in range(start, end)] == sorted(set(offsets))
    assert all(end < start for (_, end), (start, _) in pairwise(spans))
