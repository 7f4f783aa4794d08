"""A canary that always passes is useless: it finds each kind of fault."""

import pytest

from cli.canary_checks import Row, find_faults, find_miscounts, find_unsettled, shorten
from cli.simulation.client import Ledger
from cli.simulation.devices import EVENTS, Sent

GOOD = [Sent(EVENTS, b'{"event_id":"%d"}' % number, "telemetry") for number in range(3)]
BAD = Sent(EVENTS, b"{}", "invalid")
ROWS = [Row(0, number, sent.body.decode()) for number, sent in enumerate(GOOD)]
LETTERS = ["{}"]


@pytest.fixture
def ledger() -> Ledger:
    book = Ledger()
    book.write([*GOOD, BAD], 207, {"results": [{"status": "accepted"}] * 3 + [{"status": "rejected"}]})
    return book


def test_complete_events_have_no_faults_and_neither_has_a_row_that_was_delivered_twice(ledger: Ledger) -> None:
    assert find_faults(ledger, ROWS, LETTERS) == []
    assert find_faults(ledger, [*ROWS, ROWS[0]], LETTERS) == []


@pytest.mark.parametrize(
    ("rows", "letters", "says"),
    [
        (ROWS[1:], LETTERS, "stored 0 times"),
        ([*ROWS, Row(0, 9, ROWS[0].event)], LETTERS, "stored 2 times"),
        ([*ROWS[1:], Row(0, 0, "altered")], LETTERS, "accepted 0 and unknown 0 times, stored 1 times"),
        ([*ROWS, Row(0, 0, "altered")], LETTERS, "two contents"),
        ([*ROWS, Row(0, 9, "{}")], LETTERS, "rejected but stored"),
        (ROWS, [], "rejected but in no dead letter"),
    ],
)
def test_every_kind_of_fault_is_found(ledger: Ledger, rows: list[Row], letters: list[str], says: str) -> None:
    assert any(says in fault for fault in find_faults(ledger, rows, letters))


def test_an_unknown_event_may_be_stored_once_more(ledger: Ledger) -> None:
    ledger.write(GOOD[:1], 503, {})
    assert find_faults(ledger, [*ROWS, Row(0, 9, ROWS[0].event)], LETTERS) == []
    assert find_faults(ledger, [*ROWS, *(Row(0, number, ROWS[0].event) for number in (8, 9))], LETTERS) != []


def test_an_event_that_was_accepted_once_is_taken(ledger: Ledger) -> None:
    assert find_unsettled(ledger) == []
    ledger.write(GOOD[:1], 503, {})
    assert find_unsettled(ledger) == []


@pytest.mark.parametrize(
    ("status", "code", "answer"),
    [(429, "not_stored", "unknown"), (429, "pressure", "turned away"), (403, "forbidden", "refused")],
)
def test_events_that_are_not_taken_are_a_fault_although_none_of_them_must_be_stored(
    status: int, code: str, answer: str
) -> None:
    away = Ledger()
    for _ in range(2):
        away.write([*GOOD, BAD], status, {"code": code})
    assert find_faults(away, [], []) == []
    assert find_unsettled(away) == [f"4 events were not taken; the last answer was: {answer}"]


def test_numbers_that_hold_more_or_less_than_was_accepted_are_named() -> None:
    assert find_miscounts({"a": 1, "b": 2}, {"a": 1, "b": 2}) == []
    assert find_miscounts({"a": 1, "b": 2}, {"a": 1, "c": 1}) == [
        "b: 2 events were accepted, its minutes count 0",
        "c: 0 events were accepted, its minutes count 1",
    ]


def test_an_outage_is_not_told_event_by_event() -> None:
    faults = [f"fault {number}" for number in range(1020)]
    assert shorten(faults[:20]) == faults[:20]
    assert shorten(faults) == [*faults[:20], "and 1,000 faults more"]
