from datetime import UTC, datetime, timedelta

from sluice.core.query.completeness import Knowledge, describe
from sluice.core.times import write_time

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


def told(known: Knowledge, windows: int = 10) -> list[tuple[int, int, str, str | None]]:
    stretches = describe(NOON, NOON + windows * MINUTE, MINUTE, known)
    at = {write_time(NOON + number * MINUTE): number for number in range(windows + 1)}
    return [(at[one.start], at[one.end], one.state, one.reason) for one in stretches]


def test_before_anything_was_rolled_everything_is_provisional() -> None:
    assert told(Knowledge(None, (), (), ALWAYS)) == [(0, 10, "provisional", "not_closed")]


def test_a_window_is_complete_once_its_end_is_closed() -> None:
    known = Knowledge(NOON + 3 * MINUTE, (), (), ALWAYS)
    assert told(known) == [(0, 3, "complete", None), (3, 10, "provisional", "not_closed")]


def test_a_marker_is_of_no_matter_where_nothing_is_closed() -> None:
    known = Knowledge(NOON + 2 * MINUTE, {NOON + MINUTE, NOON + 5 * MINUTE}, (), ALWAYS)
    assert [reason for *_, reason in told(known)] == [None, "being_rolled_again", "not_closed"]


def test_a_gap_is_every_window_that_it_touches_and_no_other() -> None:
    known = Knowledge(NOON + 10 * MINUTE, (), [(NOON + 2.5 * MINUTE, NOON + 4 * MINUTE)], ALWAYS)
    assert told(known) == [(0, 2, "complete", None), (2, 4, "gap", "offsets_missing"), (4, 10, "complete", None)]


def test_what_is_not_kept_is_said_first_and_gaps_before_what_is_open() -> None:
    missing = [(NOON, NOON + 4 * MINUTE)]
    known = Knowledge(None, {NOON}, missing, NOON + MINUTE)
    assert told(known, 6) == [
        (0, 1, "gap", "not_kept"),
        (1, 4, "gap", "offsets_missing"),
        (4, 6, "provisional", "not_closed"),
    ]


def test_nothing_is_said_of_no_window() -> None:
    assert describe(NOON, NOON, MINUTE, Knowledge(None, (), (), ALWAYS)) == []
