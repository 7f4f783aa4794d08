"""The checker must be able to fail: one row lost, doubled, altered or invented turns it red."""

import pytest

from local.fleet.devices import Sent
from tests.ledger import Ledger, Stored, digest, find_faults

EVENTS = [Sent("/v1/events", f'{{"n":{number}}}'.encode(), "telemetry") for number in range(4)]
REJECTED = Sent("/v1/events", b"{}", "invalid")
ROWS = [Stored(digest(sent.body), index % 2, index // 2) for index, sent in enumerate(EVENTS)]
ENDS = {0: 2, 1: 2, 2: 0}


@pytest.fixture
def ledger() -> Ledger:
    book = Ledger()
    results = [{"status": "accepted"}] * 4 + [{"status": "rejected"}]
    book.write([*EVENTS, REJECTED], 207, {"results": results})
    return book


def test_a_store_that_holds_what_was_accepted_has_no_faults(ledger: Ledger) -> None:
    assert find_faults(ledger, ROWS, ENDS) == []


def test_a_row_delivered_twice_from_the_same_place_is_no_fault(ledger: Ledger) -> None:
    assert find_faults(ledger, [*ROWS, ROWS[0]], ENDS) == []


@pytest.mark.parametrize(
    ("rows", "ends", "says"),
    [
        (ROWS[1:], ENDS, "stored 0 times"),
        ([*ROWS, Stored(ROWS[0].sha256, 0, 2)], ENDS | {0: 3}, "stored 2 times"),
        ([Stored(digest(b"altered"), 0, 0), *ROWS[1:]], ENDS, "never sent"),
        ([*ROWS, Stored(digest(b"other"), 0, 0)], ENDS, "two contents"),
        ([*ROWS, Stored(digest(REJECTED.body), 2, 0)], ENDS | {2: 1}, "rejected but stored"),
        (ROWS, ENDS | {1: 3}, "partition 1 reaches 3, the store misses [2]"),
        ([], {}, "stored 0 times"),
    ],
)
def test_every_kind_of_fault_is_found(ledger: Ledger, rows: list[Stored], ends: dict[int, int], says: str) -> None:
    assert any(says in fault for fault in find_faults(ledger, rows, ends))


def test_an_answer_without_statuses_leaves_the_events_unknown_or_rejected() -> None:
    book = Ledger()
    book.write(EVENTS[:1], 503, {"message": "Service Unavailable"})
    book.write(EVENTS[1:2], 413, {"code": "body_too_large"})
    assert book.unknown == {digest(EVENTS[0].body)}
    assert book.rejected == {digest(EVENTS[1].body)}
