"""The first copy of an id wins; later ones with other bytes are conflicts, with a letter that holds both."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sluice.core.limits import Limits
from sluice.core.matching.copies import (
    Copy,
    Member,
    State,
    choose_few_files,
    find_families,
    may_count_twice,
    write_conflict,
)
from sluice.core.samples.events import read_event
from tests.database.aggregating import Sent
from tests.support import samples

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
FOUND = NOON + timedelta(hours=5)
ID = "0" * 31 + "7"
HOUR = timedelta(hours=1)


def copy(sent: Sent, state: State = "open", row: int = 0) -> Copy:
    record = sent.record()
    event = read_event(record, samples.contracts(), Limits(), NOON + 9 * HOUR)
    return Copy(Member(7, f"raw/{sent.offset}", row, FOUND, state), record, event)


FIRST = Sent(1, NOON, NOON, event_id=ID)
AGAIN = replace(FIRST, offset=2, received_at=NOON + HOUR)
OTHER = Sent(3, NOON + 3 * HOUR, NOON + 3 * HOUR, event_id=ID)


@pytest.mark.parametrize("seed", range(5))
def test_the_lowest_offset_is_the_first_in_whatever_order_copies_are_found(seed: int) -> None:
    copies = [copy(one) for one in (FIRST, AGAIN, OTHER)]
    random.Random(seed).shuffle(copies)
    (family,) = find_families(copies)
    assert family.first.record.origin.offset == 1
    assert [one.record.origin.offset for one in family.conflicts] == [3]
    assert len(family.members) == 3


def test_other_devices_and_fleets_are_families_of_their_own() -> None:
    found = [FIRST, replace(OTHER, device_id="press-2"), replace(OTHER, fleet_id="demo2")]
    families = find_families(map(copy, found))
    assert [(len(one.members), one.conflicts) for one in families] == [(1, ())] * 3


def test_a_record_in_two_files_is_one_conflict_and_a_settled_one_is_none() -> None:
    (family,) = find_families([copy(FIRST, "first"), copy(OTHER), copy(OTHER, row=9)])
    assert len(family.conflicts) == 1
    (family,) = find_families([copy(FIRST, "first"), copy(OTHER, "settled")])
    assert family.conflicts == ()


def test_what_was_the_first_is_a_conflict_once_an_earlier_one_is_found() -> None:
    (family,) = find_families([copy(FIRST), copy(OTHER, "first")])
    assert [one.record.origin.offset for one in family.conflicts] == [3]


def test_events_under_two_times_may_count_twice_unless_the_first_is_late() -> None:
    first, other = copy(FIRST).event, copy(OTHER).event
    assert may_count_twice(first, other)
    assert not may_count_twice(
        first, copy(replace(FIRST, offset=3, metrics={"cpu_temp": 1.0, "vibration_rms": 2.0})).event
    )
    late = copy(replace(OTHER, event_time=NOON + timedelta(minutes=1))).event
    assert late.late
    # A replay may let it in.
    assert may_count_twice(first, late)
    assert not may_count_twice(late, other)


def test_an_id_that_recurs_every_hour_has_waited_since_its_oldest_open_copy() -> None:
    members = [(FIRST, "first", -9), (AGAIN, "open", -4), (OTHER, "open", 0)]
    copies = [
        Copy(Member(7, f"raw/{sent.offset}", 0, FOUND + hours * HOUR, state), made.record, made.event)  # type: ignore[arg-type]
        for sent, state, hours in members
        for made in [copy(sent)]
    ]
    (family,) = find_families(copies)
    assert family.found_at == FOUND - 4 * HOUR
    assert family.received_until == OTHER.received_at


def test_ids_are_read_together_whose_copies_are_in_few_files() -> None:
    places = [(1, "a"), (1, "b"), (2, "c"), (3, "b"), (4, "a"), (4, "d")]
    members = [Member(one, name, 0, FOUND, "open") for one, name in places]
    assert [one.id_hash for one in choose_few_files(members, 2)] == [1, 1, 3]
    assert [one.id_hash for one in choose_few_files(members, 3)] == [1, 1, 2, 3]
    assert [one.id_hash for one in choose_few_files(members, 1)] == [1, 1, 3]


def test_the_letter_of_a_conflict_holds_both_events() -> None:
    letter = write_conflict(copy(FIRST), copy(OTHER))
    assert (letter.reason, letter.consumer, letter.attempts) == ("conflict", "match", 1)
    assert letter.event == OTHER.record().value.decode()
    assert letter.first_event == FIRST.record().value.decode()
    assert (letter.kafka_partition, letter.kafka_offset) == (0, 3)
    assert (letter.first_kafka_partition, letter.first_kafka_offset) == (0, 1)
    assert (letter.fleet_id, letter.device_id, letter.failed_at) == (
        "demo",
        "press-0001",
        "2026-11-20T15:00:00.000000Z",
    )
    # The same record in another file has the same letter.
    assert letter == write_conflict(copy(FIRST), copy(OTHER, row=9))
