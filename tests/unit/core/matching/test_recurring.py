"""So many recurring ids of each fleet are taken on, however many a fleet has; the others are counted."""

import numpy as np

from sluice.core.matching.ids import sort_ids
from sluice.core.matching.recurring import Recurring

FLOOD, QUIET = 0, 1


def recurring(hashes: list[int], fleets: list[int], most: int) -> Recurring:
    rows = np.arange(len(hashes), dtype=np.uint32)
    ids = sort_ids(np.array(hashes, dtype=np.uint64), rows, rows)
    return Recurring(ids, np.array(fleets, dtype=np.uint32), most)


def numbers(*hashes: int) -> np.ndarray:
    return np.array(hashes, dtype=np.uint64)


def test_a_fleet_has_so_many_over_all_parts_and_takes_nobody_elses_place() -> None:
    found = recurring([*range(10), 100], [FLOOD] * 10 + [QUIET], 3)
    assert found.add(numbers(8, 9)).tolist() == [8, 9]
    assert found.add(numbers(0, 1, 2, 9, 100)).tolist() == [0, 9, 100]
    assert found.add(numbers(0, 1, 2)).tolist() == [0]
    assert found.list_taken().hashes.tolist() == [0, 8, 9, 100]
    assert found.count_left_out() == 2
    assert found.turns == {8: 0, 9: 1, 0: 2, 100: 0}


def test_all_events_of_an_id_are_taken_together_and_its_turn_is_that_of_the_first() -> None:
    found = recurring([5, 7, 5], [FLOOD] * 3, 3)
    assert found.add(numbers(5, 7)).tolist() == [5, 7]
    assert found.list_taken().rows.tolist() == [0, 2, 1]
    assert found.turns == {5: 0, 7: 2}


def test_nothing_recurs_in_nothing() -> None:
    found = recurring([], [], 3)
    assert found.add(numbers()).tolist() == []
    assert (found.list_taken().hashes.tolist(), found.count_left_out()) == ([], 0)
