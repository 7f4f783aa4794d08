"""Recurring ids are found among sorted arrays as a dictionary would find them."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sluice.core.matching.ids import (
    Ids,
    find_differing,
    find_places,
    find_repeated,
    find_shared,
    number_within,
    sort_ids,
)

Event = tuple[int, int]
"""The hashes of an id and of a body."""

# Few values, so that ids and bodies recur; and the ends of the range, where signs and borders go wrong.
HASHES = st.sampled_from([0, 1, 2, 3, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1])
EVENTS = st.lists(st.tuples(HASHES, st.integers(0, 2)), max_size=30)


def ids(events: Iterable[Event]) -> Ids:
    held = list(events)
    return sort_ids(
        np.array([one for one, _ in held], dtype=np.uint64),
        np.array([body for _, body in held], dtype=np.uint32),
        np.arange(len(held), dtype=np.uint32),
    )


def with_other_bytes(events: Iterable[Event]) -> set[int]:
    bodies = defaultdict(set)
    for one, body in events:
        bodies[one].add(body)
    return {one for one, found in bodies.items() if len(found) > 1}


@given(EVENTS)
def test_sorting_keeps_each_event_together_and_rows_in_order(events: list[Event]) -> None:
    found = ids(events)
    assert [events[row] for row in found.rows] == list(zip(found.hashes.tolist(), found.bodies.tolist(), strict=True))
    assert found.hashes.tolist() == sorted(one for one, _ in events)
    keys = list(zip(found.hashes.tolist(), found.rows.tolist(), strict=True))
    assert keys == sorted(keys)


@given(EVENTS)
def test_ids_with_other_bytes_in_one_batch_are_found(events: list[Event]) -> None:
    assert set(find_repeated(ids(events)).tolist()) == with_other_bytes(events)


@given(EVENTS, EVENTS)
def test_ids_with_other_bytes_in_two_batches_are_found(new: list[Event], old: list[Event]) -> None:
    mine, earlier = ids(new), ids(old)
    shared = find_shared(mine.hashes, earlier.hashes)
    both = {one for one, _ in new} & {one for one, _ in old}
    assert [one in both for one in earlier.hashes.tolist()] == [place in shared for place in range(len(old))]
    found = find_differing(mine, earlier.hashes[shared], earlier.bodies[shared])
    assert set(found.tolist()) == with_other_bytes(one for one in [*new, *old] if one[0] in both)


@given(EVENTS, st.sets(HASHES))
def test_every_place_of_a_hash_is_found(events: list[Event], wanted: set[int]) -> None:
    found = ids(events)
    places = find_places(found.hashes, np.array(sorted(wanted), dtype=np.uint64))
    assert places.tolist() == [place for place, one in enumerate(found.hashes.tolist()) if one in wanted]


@given(st.lists(st.integers(0, 3), max_size=20))
def test_members_are_numbered_within_their_group(groups: list[int]) -> None:
    found = number_within(np.array(groups, dtype=np.uint32))
    assert found.tolist() == [groups[:place].count(group) for place, group in enumerate(groups)]
