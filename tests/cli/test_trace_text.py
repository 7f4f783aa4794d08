"""The story comes from the answer alone: every fact of it, and no control characters."""

import msgspec
import pytest

from cli.trace_text import MOST_TEXT, show, write_story
from sluice.core.trace.incidents import TracedAttempt, TracedIncident, TracedMessage
from sluice.core.trace.lake_search import MOST_ROWS, SearchResult
from sluice.core.trace.outcomes import Numbers, Trace, TracedWindow, UnaskedSource, write_document
from tests.support.traces import ID, MINUTE, NOON, PRESS, copy, letter, numbers, sample, trace


def lines(found: SearchResult, known: Numbers | UnaskedSource) -> list[str]:
    """The story that the command prints for the function's answer."""
    answered = msgspec.json.encode(write_document(trace(found, known)))
    return write_story(msgspec.json.decode(answered, type=Trace))


def told(found: SearchResult, known: Numbers | UnaskedSource) -> str:
    return "\n".join(lines(found, known))


def test_the_story_of_an_event_goes_from_reception_to_its_windows() -> None:
    windows = (
        MINUTE,
        TracedWindow("1h", NOON, "provisional", "not_closed"),
        TracedWindow("1d", NOON.replace(hour=0), "moved", None),
    )
    found = SearchResult((copy(7), copy(9), copy(11, variant=2)), ())
    known = numbers(*found.copies or (), samples=(sample(NOON, *windows),))
    story = [line.replace("2026-11-20T", "").replace(":00.000000Z", "") for line in lines(found, known)]
    gap, first = " " * 29, "raw-events/4/7, received at 12:00:07.000000Z"
    conflict = f"conflict: the id of {first}, with other bytes; the first counts, and this one in no number"
    assert story == [
        f"event {ID}, fleet demo, arrived from 2026-11-19 to 2026-11-20: accepted",
        "of device press-1 in fleet demo: accepted",
        "12:00:07.000000Z  copy 1 of 3: received as telemetry version 2, firmware 2.4.1 (correlation id c-7)",
        f"{gap}accepted at raw-events/4/7",
        f"{gap}stored in file s3://raw/7.parquet",
        f"{gap}counted: its sample is there (told by its time; of copies with the same time the first counts)",
        "12:00:09.000000Z  copy 2 of 3: received as telemetry version 2, firmware 2.4.1 (correlation id c-9)",
        f"{gap}accepted at raw-events/4/9",
        f"{gap}stored in file s3://raw/9.parquet",
        f"{gap}duplicate of {first}, byte for byte: not counted again",
        "12:00:11.000000Z  copy 3 of 3: received as telemetry version 2, firmware 2.4.1 (correlation id c-11)",
        f"{gap}accepted at raw-events/4/11",
        f"{gap}stored in file s3://raw/11.parquet",
        f"{gap}{conflict}",
        "12:00  is when it counts, with 3 numbers",
        f"{gap}counted in window 1m 12:00 to 12:01: complete",
        f"{gap}counted in window 1h 12:00 to 13:00: provisional: it is not closed yet",
        f"{gap}counted in window 1d 00:00 to 2026-11-21T00:00: it has left the database for files (table rollups)",
    ]


def test_the_story_of_a_reject_says_why_and_where_its_letter_is() -> None:
    story = told(SearchResult((), (letter(),)), numbers())
    assert "rejected: contract_violation: metrics.cpu_temp must be number (correlation id c-1)" in story
    assert f"dead letter {'l' * 64} in file s3://letters/a.json.gz" in story


@pytest.mark.parametrize("lettered", [True, False])
def test_the_story_of_what_a_replay_counted_says_so(lettered: bool) -> None:
    given_up = letter(consumer="aggregate", reason="killer_record", origin=copy(7).origin)
    known = numbers(copy(7), samples=(sample(NOON, MINUTE),), counted_by="replay-0123456789abcdef")
    was = "was dead-lettered by aggregate" if lettered else "was never counted by aggregate"
    story = told(SearchResult((copy(7),), (given_up,) if lettered else ()), known)
    assert f"{was}, and accounted for by replay-0123456789abcdef" in story


def test_the_story_of_a_breach_goes_on_to_the_people_who_were_notified() -> None:
    refused = TracedAttempt("ops", 1, "failed", 503, NOON)
    told_of = TracedMessage(1, "opened", "c-7", NOON, NOON, (refused, TracedAttempt("ops", 2, "delivered", None, NOON)))
    waiting = TracedMessage(2, "silence_ended", "c-8", NOON, None, ())
    incident = TracedIncident("a1", "hot", "cpu_temp", "critical", "open", NOON, "c-7", (told_of, waiting))
    known = msgspec.structs.replace(numbers(copy(7), samples=(sample(),)), incidents={PRESS: (incident,)})
    story = told(SearchResult((copy(7),), ()), known)
    noon = "2026-11-20T12:00:00.000000Z"
    for line in (
        f"{noon}  joined incident a1 of rule hot, critical and now open (correlation id c-7)",
        f"{noon}  message 1: opened, sent at {noon} (correlation id c-7)",
        f"{noon}  destination ops, attempt 1: failed, status 503",
        f"{noon}  destination ops, attempt 2: delivered",
        f"{noon}  message 2: silence ended, not sent yet (correlation id c-8)",
    ):
        assert line in story.splitlines()


def test_the_story_of_nothing_says_as_of_when_and_what_cannot_be_seen_yet() -> None:
    story = told(SearchResult((), ()), UnaskedSource("numbers", "device_unknown"))
    assert (
        "never received (as of 2026-11-20T13:00:00.000000Z; events younger than 130 s may not be visible yet" in story
    )
    assert "not asked: the numbers: they are kept by device, and no device is known; name fleet and device" in story


@pytest.mark.parametrize(
    ("found", "known", "says"),
    [
        (SearchResult((copy(7, flags=("late_arrival",)),), ()), numbers(copy(7)), "late: raw only, in no number"),
        (
            SearchResult((copy(7, flags=("redriven",)),), ()),
            numbers(copy(7)),
            "flagged redriven: it had been rejected, and was sent again by a re-drive, perhaps fixed",
        ),
        (
            SearchResult((copy(7, flags=("clock_ahead",)),), ()),
            numbers(copy(7)),
            "flagged clock_ahead: its device says",
        ),
        (
            SearchResult((copy(7, event_time=None, flags=("clock_ahead",)),), ()),
            numbers(),
            "a time that cannot be shown",
        ),
        (SearchResult((copy(7),), ()), numbers(copy(7), progress="in_flight"), "aggregate has not come to it yet"),
        (SearchResult((copy(7),), ()), numbers(copy(7), progress="passed_over"), "passed over by aggregate"),
        (
            SearchResult((copy(7),), (letter(consumer="aggregate", reason="expired", origin=copy(7).origin),)),
            numbers(copy(7), samples=(sample(),)),
            "given up by aggregate, at raw-events/4/7: expired",
        ),
        (
            SearchResult(tuple(copy(offset) for offset in range(MOST_ROWS + 1)), ()),
            numbers(),
            "there are more rows than fit here",
        ),
        (SearchResult((copy(7),), ()), numbers(copy(7)), "not explained"),
        (SearchResult((copy(7),), ()), numbers(copy(7), kept_from=NOON.replace(hour=13)), "no longer kept"),
        (
            SearchResult((copy(7),), ()),
            numbers(copy(7), samples=(sample(NOON.replace(hour=1)),)),
            "was not found on these days",
        ),
        (SearchResult((copy(7),), ()), UnaskedSource("numbers", "timeout"), "the numbers could not be asked"),
        (SearchResult((), ()), numbers(samples=(sample(),)), "no copy was found among the files"),
        (SearchResult((), ()), numbers(settled_at=NOON), "it came late, or its clock ran ahead"),
        (SearchResult((), ()), numbers(samples=(sample(numbers=0),)), "no window has a row of it"),
        (
            SearchResult((), (letter(consumer="archive", attempts=3),)),
            numbers(),
            "given up by archive after 3 attempts",
        ),
        (SearchResult(None, (letter(),), "too_much"), numbers(), "not asked: the raw store: more would have been read"),
        (SearchResult((), None, "timeout"), numbers(), "nothing found where it could be looked for"),
    ],
)
def test_every_fact_is_printed(found: SearchResult, known: Numbers | UnaskedSource, says: str) -> None:
    assert says in told(found, known)


HOSTILE = "a\x1b[2J\n\u202eb\x00" + "x" * 1000


def test_what_others_wrote_is_shown_and_never_obeyed() -> None:
    hostile = {"device_id": HOSTILE, "firmware": HOSTILE, "correlation_id": HOSTILE, "file": f"s3://{HOSTILE}"}
    found = SearchResult((copy(7, **hostile),), (letter(detail=HOSTILE, reason=HOSTILE, device_id=HOSTILE),))
    for line in lines(found, UnaskedSource("numbers", "unavailable")):
        assert line.isprintable()
        assert len(line) < 4 * MOST_TEXT


def test_a_long_text_is_cut_and_a_missing_one_is_unknown() -> None:
    assert show("x" * (MOST_TEXT + 1)) == "x" * MOST_TEXT + "…"
    assert show(None) == "(unknown)"
