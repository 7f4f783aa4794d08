"""Holes: committed offsets without an account, their age, and when they become missing."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sluice.core.ledger.holes import Hole, date_holes, judge_holes, mark_rerun, subtract
from sluice.core.offsets import Span, span

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GRACE = timedelta(minutes=15)
offsets = st.sets(st.integers(0, 40))


def members(spans: list[Span]) -> set[int]:
    return {offset for start, end in spans for offset in range(start, end)}


@given(start=st.integers(0, 40), size=st.integers(0, 40), covered=offsets)
def test_what_is_left_of_a_range_is_what_is_not_covered_in_as_few_ranges_as_can_be(
    start: int, size: int, covered: set[int]
) -> None:
    left = list(subtract((start, start + size), span(covered)))
    assert members(left) == set(range(start, start + size)) - covered
    assert left == span(members(left))


def test_a_hole_is_what_was_committed_even_where_kafka_no_longer_has_it() -> None:
    assert list(subtract((0, 20), [(0, 5), (12, 18), (25, 26)])) == [(5, 12), (18, 20)]


@given(first=offsets, second=offsets, third=offsets)
def test_every_offset_keeps_the_moment_it_was_noticed_for_as_long_as_it_is_open(
    first: set[int], second: set[int], third: set[int]
) -> None:
    holes: list[Hole] = []
    noticed: dict[int, datetime] = {}
    for minutes, found in enumerate((first, second, third)):
        now = NOON + timedelta(minutes=minutes)
        holes = date_holes(span(found), holes, now)
        noticed = {offset: noticed.get(offset, now) for offset in found}
    assert {offset: hole.noticed_at for hole in holes for offset in range(hole.start, hole.end)} == noticed
    assert sum(hole.size for hole in holes) == len(third)


def test_a_hole_that_stays_longer_than_its_grace_is_missing_and_stays_so() -> None:
    young, old = Hole(0, 5, NOON - GRACE / 2), Hole(5, 9, NOON - GRACE)
    judged = judge_holes([young, old], NOON, GRACE)
    assert [hole.missing for hole in judged] == [False, True]
    assert [(hole.start, hole.end, hole.missing) for hole in date_holes([(3, 7)], judged, NOON)] == [
        (3, 5, False),
        (5, 7, True),
    ]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20), st.integers(0, 3))), offsets)
def test_holes_that_lie_over_one_another_come_out_apart(known: list[tuple[int, int, int]], found: set[int]) -> None:
    holes = date_holes(span(found), [Hole(at, at + size, NOON + minute * GRACE) for at, size, minute in known], NOON)
    assert sum(hole.size for hole in holes) == len(found)
    assert members([(hole.start, hole.end) for hole in holes]) == found


def test_what_was_run_again_rests_until_it_would_show_and_the_rest_of_its_hole_does_not() -> None:
    holes = mark_rerun([Hole(0, 10, NOON - GRACE, missing=True), Hole(20, 30, NOON)], (4, 8), NOON)
    assert [(hole.start, hole.end, hole.rerun_at) for hole in holes] == [
        (0, 4, None),
        (4, 8, NOON),
        (8, 10, None),
        (20, 30, None),
    ]
    assert [hole.may_rerun(NOON, GRACE) for hole in holes] == [True, False, True, False]
    assert [hole.may_rerun(NOON + GRACE, GRACE) for hole in holes] == [True, True, True, False]
