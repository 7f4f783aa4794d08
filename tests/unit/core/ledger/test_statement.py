"""A statement balances where both accounts agree, and explains every difference."""

import pytest
from msgspec.structs import replace

from sluice.core.ledger.statement import LedgerFacts, Missing, Position, State, Tally, draw_up, draw_up_for

DAY, AS_OF = "2026-03-01", "2026-03-01T12:00:00.000000Z"
MISSING = Missing("archive", "demo", "press-1", "e-1", "2026-03-01T11:00:00.000000Z", 3, 40, in_kafka=True)


def tally(consumer: str, fleet_id: str = "demo", **outcomes: int) -> list[Tally]:
    return [Tally(fleet_id, consumer, outcome, events) for outcome, events in outcomes.items()]


def position(consumer: str, in_flight: int = 0, under_way: int = 0, missing: int = 0, lost: int = 0) -> Position:
    covered = 100 - in_flight - under_way - missing
    return Position(consumer, 100, covered, in_flight, under_way, missing, lost)


BALANCED = [
    *tally("archive", archived=90, dead_lettered=10),
    *tally("aggregate", counted=80, late=5, duplicate=5, dead_lettered=10),
    *tally("ingest", rejected=7),
]


def test_accepted_is_archived_and_dead_lettered_and_counted_late_duplicate_and_dead_lettered() -> None:
    (account,) = draw_up(DAY, LedgerFacts(AS_OF, BALANCED, [position("archive"), position("aggregate")], [])).fleets
    assert (account.state, account.accepted, account.rejected) == ("balanced", 100, 7)
    assert account.of("archive") == {"archived": 90, "dead_lettered": 10, "not_yet": 0}
    assert account.of("aggregate") == {"counted": 80, "late": 5, "duplicate": 5, "dead_lettered": 10, "not_yet": 0}


@pytest.mark.parametrize(
    ("archive", "named", "state"),
    [
        (position("archive", in_flight=1), [], "in_flight"),
        (position("archive", under_way=1), [], "in_flight"),
        (position("archive", missing=1), [], "missing"),
        (position("archive"), [], "unbalanced"),
        (position("archive", under_way=1, missing=1), [MISSING], "missing"),
    ],
)
def test_what_only_one_of_them_has_seen_is_on_its_way_missing_or_a_fault(
    archive: Position, named: list[Missing], state: State
) -> None:
    facts = LedgerFacts(AS_OF, [*BALANCED, *tally("aggregate", late=1)], [archive, position("aggregate")], named)
    account = draw_up_for("demo", DAY, facts).account
    assert (account.state, account.accepted, account.of("archive")["not_yet"]) == (state, 101, 1)


def test_what_a_consumer_counted_since_the_brokers_were_asked_may_not_have_reached_the_other() -> None:
    ahead = replace(position("aggregate"), ahead=1)
    facts = LedgerFacts(AS_OF, [*BALANCED, *tally("aggregate", late=1)], [position("archive"), ahead], [])
    assert draw_up_for("demo", DAY, facts).account.state == "in_flight"
    lost = LedgerFacts(AS_OF, facts.tallies, [position("archive", missing=1), ahead], [])
    assert draw_up_for("demo", DAY, lost).account.state == "missing"
    settled = LedgerFacts("2026-03-02T07:00:00.000000Z", facts.tallies, facts.positions, [])
    assert draw_up_for("demo", DAY, settled).account.state == "unbalanced"


@pytest.mark.parametrize(
    ("redriving", "state"), [(["demo"], "in_flight"), ([], "unbalanced"), (["other"], "unbalanced")]
)
def test_while_a_redrive_sends_events_of_a_day_that_is_long_over_they_are_in_flight(
    redriving: list[str], state: State
) -> None:
    tallies, positions = (
        [*BALANCED, *tally("aggregate", counted=1)],
        [position("archive", under_way=1), position("aggregate")],
    )
    facts = LedgerFacts("2026-03-09T07:00:00.000000Z", tallies, positions, [], redriving=redriving)
    assert draw_up_for("demo", DAY, facts).account.state == state


def test_what_is_missing_of_another_day_or_fleet_does_not_unsettle_an_account() -> None:
    facts = LedgerFacts(AS_OF, BALANCED, [position("archive", missing=1)], [MISSING])
    assert draw_up_for("demo", DAY, facts).account.state == "missing"
    assert draw_up_for("demo", "2026-02-28", facts).account.state == "balanced"
    assert draw_up_for("other", DAY, facts).account.state == "balanced"


@pytest.mark.parametrize(
    ("unnamed_until", "state"),
    [(None, "balanced"), ("2026-02-28T23:59:59.000000Z", "balanced"), ("2026-03-01T00:00:00.000000Z", "missing")],
)
def test_an_account_that_both_sides_lack_the_same_of_is_not_balanced(unnamed_until: str | None, state: State) -> None:
    facts = LedgerFacts(
        AS_OF, BALANCED, [position("archive", missing=1), position("aggregate", missing=1)], [], unnamed_until
    )
    assert draw_up_for("demo", DAY, facts).account.state == state


@pytest.mark.parametrize(
    ("as_of", "missing", "state"),
    [
        ("2026-03-02T06:59:59.000000Z", 0, "in_flight"),
        ("2026-03-02T07:00:00.000000Z", 1, "missing"),
        ("2026-03-02T07:00:00.000000Z", 0, "unbalanced"),
    ],
)
def test_of_a_day_that_is_long_over_nothing_is_on_its_way(as_of: str, missing: int, state: State) -> None:
    archive = position("archive", in_flight=5, missing=missing)
    facts = LedgerFacts(as_of, [*BALANCED, *tally("aggregate", late=1)], [archive, position("aggregate")], [])
    assert draw_up_for("demo", DAY, facts).account.state == state
