"""Records of a redrive that fail again are named in the answer: no letter is written, and nothing is held or halted."""

from typing import Any

import pytest

from sluice.core.records import REDRIVE, RERUN
from tests.unit.functions.test_archive import Killed, World, ahead, batch_with_poison

GIVEN = {RERUN: 100, REDRIVE: True}


def rejected(answer: dict[str, Any]) -> list[tuple[int, int, str]]:
    return [(one["partition"], one["offset"], one["reason"]) for one in answer["rejected"]]


def test_poison_is_named_and_its_neighbours_are_processed() -> None:
    world = World()
    answer = world.answer(batch_with_poison(1) | GIVEN)
    assert answer["batchItemFailures"] == []
    assert rejected(answer) == [(4, 101, "poison_record")]
    assert answer["rejected"][0]["detail"]
    assert [row["kafka_offset"] for row in world.rows] == [100, 102]
    assert world.letters == []
    assert not world.metrics.get("RecordsQuarantined")


def test_a_whole_batch_of_poison_halts_nobody_and_spends_no_allowance() -> None:
    world = World()
    assert len(rejected(world.answer(batch_with_poison(*range(200), size=200) | GIVEN))) == 200
    assert not world.metrics.get("QuarantineExceeded")
    # What comes from Kafka later has its whole allowance.
    assert world.archive(batch_with_poison(*range(10), size=100)) == []
    assert len(world.letters) == 10


def test_a_version_of_a_later_release_is_not_held() -> None:
    world = World()
    answer = world.answer(ahead(batch_with_poison(), 1) | GIVEN)
    assert (answer["batchItemFailures"], rejected(answer)) == ([], [(4, 101, "version_ahead")])
    assert world.pauses == []
    # Nor does the same version count as seen: from Kafka it is held as ever.
    assert world.archive(ahead(batch_with_poison(), 0)) != []


def test_a_record_that_breaks_the_consumer_is_found_and_named() -> None:
    world = World(killing={101})
    for _ in range(20):
        try:
            answer = world.answer(batch_with_poison() | GIVEN)
        except Killed:
            continue
        break
    assert (answer["batchItemFailures"], rejected(answer)) == ([], [(4, 101, "killer_record")])
    assert world.letters == []


@pytest.mark.parametrize("given", [{}, {RERUN: 100}])
def test_without_the_mark_the_answer_is_as_ever(given: dict[str, Any]) -> None:
    world = World()
    assert world.answer(batch_with_poison(1) | given) == {"batchItemFailures": []}
    assert len(world.letters) == 1
