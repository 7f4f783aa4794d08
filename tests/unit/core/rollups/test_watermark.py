"""The watermark: never later than what is still to come, and not held back by partitions that are quiet."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sluice.core.offsets import Extent
from sluice.core.rollups.watermark import Covered, OffsetSnapshot, place_watermark

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SLACK = 5 * SECOND


def asked(moment: datetime, **extents: tuple[int, int]) -> OffsetSnapshot:
    return OffsetSnapshot(moment, {int(name[1:]): Extent(*extent) for name, extent in extents.items()})


def test_a_partition_with_records_ahead_is_as_far_as_its_last_covered_one() -> None:
    covered = {0: Covered(7, NOON)}
    assert place_watermark(covered, [asked(NOON + 60 * SECOND, p0=(0, 9))], SLACK) == NOON - SLACK


def test_a_partition_whose_records_are_all_covered_is_as_far_as_the_question() -> None:
    covered = {0: Covered(9, NOON)}
    assert place_watermark(covered, [asked(NOON + 60 * SECOND, p0=(0, 9))], SLACK) == NOON + 60 * SECOND - SLACK


def test_the_slowest_partition_decides() -> None:
    covered = {0: Covered(9, NOON), 1: Covered(2, NOON - 30 * SECOND)}
    questions = [asked(NOON + 60 * SECOND, p0=(0, 9), p1=(0, 3))]
    assert place_watermark(covered, questions, SLACK) == NOON - 30 * SECOND - SLACK


def test_a_partition_that_never_had_a_record_does_not_hold_the_watermark_back() -> None:
    covered = {0: Covered(9, NOON)}
    assert place_watermark(covered, [asked(NOON + SECOND, p0=(0, 9), p1=(0, 0))], SLACK) == NOON + SECOND - SLACK


def test_a_partition_that_has_records_and_was_never_covered_holds_everybody_back() -> None:
    covered = {0: Covered(9, NOON)}
    assert place_watermark(covered, [asked(NOON, p0=(0, 9), p1=(0, 1))], SLACK) is None


def test_a_partition_that_was_empty_when_first_asked_about_is_as_far_as_that() -> None:
    questions = [asked(NOON, p0=(0, 0)), asked(NOON + 60 * SECOND, p0=(0, 1))]
    assert place_watermark({}, questions, SLACK) == NOON - SLACK


def test_what_kafka_has_deleted_does_not_hold_the_watermark_back() -> None:
    covered = {0: Covered(3, NOON)}
    question = asked(NOON + 60 * SECOND, p0=(8, 8), p1=(4, 4))
    assert place_watermark(covered, [question], SLACK) == NOON + 60 * SECOND - SLACK


def test_a_quiet_partition_does_not_fall_back_when_a_record_comes() -> None:
    # Its last record before was received an hour ago.
    covered = {0: Covered(9, NOON - timedelta(hours=1))}
    questions = [asked(NOON, p0=(0, 9)), asked(NOON + SECOND, p0=(0, 10)), asked(NOON + 2 * SECOND, p0=(0, 11))]
    assert place_watermark(covered, questions, SLACK) == NOON - SLACK
    assert place_watermark({0: Covered(10, None)}, questions, SLACK) == NOON + SECOND - SLACK


def test_until_the_brokers_have_answered_once_a_partition_may_have_records_that_was_never_covered() -> None:
    assert place_watermark({0: Covered(9, NOON), 1: Covered(2, NOON + SECOND)}, [], SLACK) is None
    assert place_watermark({}, [], SLACK) is None


def test_a_partition_that_is_new_to_the_topic_counts_from_when_it_is_heard_of() -> None:
    questions = [asked(NOON, p0=(0, 9)), asked(NOON + SECOND, p0=(0, 9), p1=(0, 4))]
    assert place_watermark({0: Covered(9, NOON)}, questions, SLACK) is None
    assert place_watermark({0: Covered(9, NOON), 1: Covered(4, NOON)}, questions, SLACK) == NOON + SECOND - SLACK


@given(
    records=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60), st.integers(0, 5)), max_size=40),
    moments=st.lists(st.integers(0, 70), min_size=1, max_size=8),
    read=st.lists(st.integers(0, 20), min_size=4, max_size=4),
)
def test_nothing_received_before_the_watermark_is_still_to_be_read(
    records: list[tuple[int, int, int]], moments: list[int], read: list[int]
) -> None:
    # A partition, when each record was received and how long storing it took, in the order in which they were stored.
    stored = sorted((received + took, partition, received) for partition, received, took in records)
    logs = {
        number: [(at, received) for at, partition, received in stored if partition == number] for number in range(4)
    }
    now = max(moments)
    questions = [
        OffsetSnapshot(
            NOON + moment * SECOND,
            {number: Extent(0, sum(at <= moment for at, _ in log)) for number, log in logs.items()},
        )
        for moment in sorted(moments)
    ]
    covered = {}
    for number, log in logs.items():
        until = min(read[number], questions[-1].extents[number].last)
        if until:
            covered[number] = Covered(until, NOON + max(received for _, received in log[:until]) * SECOND)
    watermark = place_watermark(covered, questions, SLACK)
    if watermark is not None:
        assert watermark <= NOON + now * SECOND
        for number, log in logs.items():
            unread = log[covered[number].until if number in covered else 0 :]
            assert all(NOON + received * SECOND >= watermark for _, received in unread)
