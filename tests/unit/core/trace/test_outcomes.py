"""From what the stores hold to a verdict: every verdict and every outcome."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from sluice.core.records import Origin
from sluice.core.trace.lake_search import MOST_ROWS, SearchResult, StoredCopy, StoredLetter
from sluice.core.trace.outcomes import MOST_DEVICES, Progress, TracedCopy, UnaskedSource, devices_of, write_document
from tests.support.traces import ASKED, ID, MINUTE, NOON, copy, letter, numbers, sample, trace


def traced(*copies: StoredCopy, letters: tuple[StoredLetter, ...] = (), **known: Any) -> list[TracedCopy]:
    """What became of the copies of one device's event."""
    (event,) = trace(SearchResult(copies, letters), numbers(*copies, **known)).events
    assert event.verdict == "accepted"
    return list(event.copies)


def outcomes(copies: list[TracedCopy]) -> list[str]:
    return [one.outcome for one in copies]


def test_a_copy_whose_sample_is_there_is_counted() -> None:
    (one,) = traced(copy(7), samples=(sample(NOON, MINUTE),))
    assert (one.outcome, one.seen, one.repeats, one.offset) == ("counted", True, None, 7)


def test_the_same_bytes_again_are_a_duplicate_of_the_first_by_offset() -> None:
    first, second = traced(copy(9), copy(7), samples=(sample(),))
    assert [first.offset, second.offset] == [7, 9]
    assert outcomes([first, second]) == ["counted", "duplicate"]
    assert (second.repeats, second.same_bytes) == (Origin("raw-events", 4, 7), True)


def test_other_bytes_under_the_same_id_are_a_conflict() -> None:
    later = copy(9, variant=2, event_time=NOON + timedelta(minutes=3))
    first, second = traced(copy(7), later, samples=(sample(),))
    assert outcomes([first, second]) == ["counted", "conflict"]
    assert second.same_bytes is False


def test_of_copies_with_the_same_time_the_first_is_taken_for_the_one_that_counted() -> None:
    assert outcomes(traced(copy(7), copy(8, variant=2), samples=(sample(),))) == ["counted", "conflict"]


def test_an_id_that_was_used_again_after_it_was_forgotten_counts_twice() -> None:
    later = NOON + timedelta(hours=6)
    copies = (copy(7), copy(99, variant=2, event_time=later, received_at=later))
    assert outcomes(traced(*copies, samples=(sample(), sample(later)))) == ["counted", "counted"]


def test_a_late_copy_is_raw_only() -> None:
    (one,) = traced(copy(7, flags=("late_arrival",)), settled_at=NOON + timedelta(seconds=7))
    assert (one.outcome, one.seen) == ("late", True)


def test_a_copy_that_was_late_only_to_the_database_is_late_too() -> None:
    assert outcomes(traced(copy(7), settled_at=NOON + timedelta(seconds=7))) == ["late"]


def test_a_later_copy_of_a_late_event_counts_in_no_number() -> None:
    again = copy(8, event_time=NOON + timedelta(seconds=8), variant=2)
    assert outcomes(traced(copy(7, flags=("late_arrival",)), again, settled_at=NOON)) == ["late", "conflict"]


def test_a_clock_that_runs_ahead_counts_at_its_reception() -> None:
    ahead = copy(7, flags=("clock_ahead",), event_time=NOON + timedelta(hours=1))
    (one,) = traced(ahead, samples=(sample(NOON + timedelta(seconds=7)),), settled_at=NOON + timedelta(seconds=7))
    assert (one.outcome, one.seen) == ("counted", True)


def test_milliseconds_in_the_files_are_the_microseconds_of_the_database() -> None:
    exact = NOON + timedelta(microseconds=250_600)
    written = copy(7, event_time=NOON + timedelta(milliseconds=251))
    assert outcomes(traced(written, samples=(sample(exact),))) == ["counted"]


@pytest.mark.parametrize("progress", ["in_flight", "passed_over"])
def test_what_aggregate_has_not_dealt_with_is_said_to_be_so(progress: Progress) -> None:
    assert outcomes(traced(copy(7), progress=progress)) == [progress]


def test_a_copy_that_aggregate_could_not_read_is_dead_lettered_and_the_next_one_counts() -> None:
    buried = letter(consumer="aggregate", reason="poison_record", origin=Origin("raw-events", 4, 7))
    first, second = traced(copy(7), copy(8), letters=(buried,), samples=(sample(),))
    assert outcomes([first, second]) == ["dead_lettered", "counted"]
    assert second.repeats is None


# A killer's transaction may have been committed; what had expired may have been run again.
@pytest.mark.parametrize("reason", ["killer_record", "expired"])
def test_a_copy_whose_sample_exists_counts_and_its_letter_is_named_beside_it(reason: str) -> None:
    given_up = letter(consumer="aggregate", reason=reason, origin=Origin("raw-events", 4, 7))
    found, known = SearchResult((copy(7),), (given_up,)), numbers(copy(7), samples=(sample(NOON, MINUTE),))
    (event,) = trace(found, known).events
    assert (outcomes(list(event.copies)), event.copies[0].seen) == (["counted"], True)
    assert [one.reason for one in event.dead_letters] == [reason]


def test_a_copy_that_a_replay_counted_after_its_letter_counts_also_when_its_sample_is_no_longer_kept() -> None:
    given_up = letter(consumer="aggregate", reason="killer_record", origin=Origin("raw-events", 4, 7))
    kept_from = NOON + timedelta(hours=1)
    (one,) = traced(copy(7), letters=(given_up,), kept_from=kept_from, counted_by="replay-1")
    assert (one.outcome, one.seen, one.counted_by) == ("counted", False, "replay-1")
    (other,) = traced(copy(7), letters=(given_up,), kept_from=kept_from)
    assert (other.outcome, other.counted_by) == ("dead_lettered", None)


def test_a_later_copy_repeats_the_one_that_counts_with_any_letter() -> None:
    given_up = letter(consumer="aggregate", reason="expired", origin=Origin("raw-events", 4, 7))
    later = copy(8, variant=2, event_time=NOON + timedelta(minutes=3))
    first, second = traced(copy(7), later, letters=(given_up,), samples=(sample(),))
    assert outcomes([first, second]) == ["counted", "conflict"]
    assert second.repeats == Origin("raw-events", 4, 7)


def test_a_copy_that_was_given_up_and_passed_over_has_no_sample_of_its_own() -> None:
    given_up = letter(consumer="aggregate", reason="expired", origin=Origin("raw-events", 4, 7))
    assert outcomes(traced(copy(7), letters=(given_up,), samples=(sample(),), progress="passed_over")) == [
        "dead_lettered"
    ]


def test_a_sample_that_should_be_there_and_is_not_is_not_explained() -> None:
    assert outcomes(traced(copy(7), kept_from=NOON - timedelta(hours=1))) == ["unexplained"]


def test_where_samples_are_no_longer_kept_the_first_copy_counts_by_the_rule() -> None:
    (one, again) = traced(copy(7), copy(8), kept_from=NOON + timedelta(hours=1))
    assert [(one.outcome, one.seen), (again.outcome, again.seen)] == [("counted", False), ("duplicate", False)]


def test_a_sample_of_a_copy_that_was_not_found_makes_the_others_duplicates() -> None:
    (one,) = traced(copy(7), samples=(sample(NOON - timedelta(minutes=9)),))
    assert (one.outcome, one.repeats) == ("duplicate", None)


def test_without_the_numbers_the_fate_of_a_copy_is_unknown() -> None:
    found = trace(SearchResult((copy(7),), ()), UnaskedSource("numbers", "unavailable"))
    assert found.verdict == "accepted"
    assert outcomes(list(found.events[0].copies)) == ["unknown"]
    assert found.events[0].samples is None
    assert found.unasked == (UnaskedSource("numbers", "unavailable"),)


def test_a_row_in_two_files_is_one_copy() -> None:
    (one,) = traced(copy(7), copy(7, file="s3://raw/again.parquet"), samples=(sample(),))
    assert one.files == ("s3://raw/7.parquet", "s3://raw/again.parquet")


def test_what_ingest_gave_up_on_was_rejected_and_what_others_did_was_accepted_before() -> None:
    assert trace(SearchResult((), (letter(),)), numbers()).verdict == "rejected"
    poison = letter(consumer="archive", reason="poison_record", origin=Origin("raw-events", 4, 7))
    assert trace(SearchResult((), (letter(), poison)), numbers()).verdict == "dead_lettered"


def test_a_letter_in_two_files_is_one_letter_and_one_sent_again_is_another() -> None:
    again = letter(failed_at=NOON + timedelta(seconds=1))
    found = trace(SearchResult((), (letter(), letter(file="s3://letters/b.json.gz"), again)), numbers())
    assert [len(one.files) for one in found.events[0].dead_letters] == [2, 1]


def test_what_the_numbers_alone_know_was_accepted() -> None:
    found = trace(SearchResult((), ()), numbers(samples=(sample(),)))
    assert (found.verdict, found.events[0].copies) == ("accepted", ())


def test_nothing_anywhere_is_never_received_even_where_no_device_is_known() -> None:
    assert trace(SearchResult((), ()), numbers()).verdict == "never_received"
    assert trace(SearchResult((), ()), UnaskedSource("numbers", "device_unknown")).verdict == "never_received"


@pytest.mark.parametrize(
    "found", [SearchResult(None, (), "timeout"), SearchResult((), None, "timeout"), SearchResult(problem="timeout")]
)
def test_nothing_found_is_no_proof_while_a_store_of_files_could_not_be_asked(found: SearchResult) -> None:
    assert trace(found, numbers()).verdict == "unknown"


def test_devices_that_use_the_same_id_have_events_of_their_own() -> None:
    other = copy(1, device_id="press-2")
    found = trace(SearchResult((copy(7), other), ()), numbers(copy(7), samples=(sample(),)))
    assert [(event.device_id, outcomes(list(event.copies))) for event in found.events] == [
        ("press-1", ["counted"]),
        ("press-2", ["unknown"]),  # which was not asked about
    ]


def test_the_numbers_are_asked_of_what_was_found_and_named() -> None:
    found = SearchResult((copy(7, device_id="press-2"),), (letter(device_id=None), letter(device_id="press-3")))
    asked = msgspec.structs.replace(ASKED, device_id="press-1")
    assert devices_of(asked, found) == [("demo", "press-1"), ("demo", "press-2"), ("demo", "press-3")]
    many = SearchResult(tuple(copy(7, device_id=f"d-{number}") for number in range(50)))
    assert len(devices_of(ASKED, many)) == MOST_DEVICES


def test_that_there_is_more_is_said() -> None:
    assert not trace(SearchResult(tuple(copy(offset) for offset in range(MOST_ROWS)), ()), numbers()).truncated
    many = SearchResult(tuple(copy(offset) for offset in range(MOST_ROWS + 1)), ())
    assert trace(many, numbers()).truncated


def test_the_document_has_the_facts_and_times_as_all_our_outputs_have() -> None:
    known = numbers(copy(7), samples=(sample(NOON, MINUTE),))
    document = write_document(trace(SearchResult((copy(7), copy(8)), (letter(),)), known))
    assert document["asked"] == {
        "event_id": ID,
        "fleet_id": "demo",
        "device_id": None,
        "from": "2026-11-19",
        "to": "2026-11-20",
    }
    (event,) = document["events"]
    assert event["copies"][1]["repeats"] == {"topic": "raw-events", "partition": 4, "offset": 7}
    assert event["copies"][0]["received_at"] == "2026-11-20T12:00:07.000000Z"
    assert event["samples"][0]["windows"][0]["window_start"] == "2026-11-20T12:00:00.000000Z"
    assert event["dead_letters"][0]["reason"] == "contract_violation"
    assert msgspec.json.decode(msgspec.json.encode(document)) == document
