"""The statement of a day as text: the accounts, what is missing, and what happens to it."""

import json
from typing import Any

import msgspec
import pytest

from cli import statement
from cli.__main__ import main
from cli.statement import write_text
from sluice.core.ledger.statement import LedgerFacts, Missing, Position, ReplayOfDay, Tally, draw_up

DAY, AS_OF = "2026-03-01", "2026-03-01T12:00:00.000000Z"
TALLIES = [
    Tally("demo", "archive", "archived", 1090),
    Tally("demo", "archive", "dead_lettered", 10),
    Tally("demo", "aggregate", "counted", 1085),
    Tally("demo", "aggregate", "dead_lettered", 10),
    Tally("demo", "ingest", "rejected", 7),
    Tally("", "archive", "dead_lettered", 2),
]
MISSING = [
    Missing("archive", "demo", "press-\x1b[2J", "e-1", "2026-03-01T11:00:00.000000Z", 3, 40, in_kafka=True),
    Missing("aggregate", "", None, None, None, 1, 2, in_kafka=False),
]
FACTS = LedgerFacts(
    AS_OF,
    TALLIES,
    [Position("archive", 1102, 1098, 0, 3, 1, 0), Position("aggregate", 1102, 1100, 0, 0, 2, 1)],
    MISSING,
)


def test_a_person_reads_what_is_missing_and_what_becomes_of_it() -> None:
    assert list(write_text(draw_up(DAY, FACTS))) == [
        "Events received on 2026-03-01 (UTC), as of 2026-03-01 12:00:00",
        "",
        (
            "fleet      state    accepted  |  archived  dead letters  not yet  "
            "|  counted  late  duplicate  dead letters  not yet  |  rejected"
        ),
        (
            "(unknown)  missing         2  |         0             2        0  "
            "|        0     0          0             0        2  |         0"
        ),
        (
            "demo       missing     1,100  |     1,090            10        0  "
            "|    1,085     0          0            10        5  |         7"
        ),
        "",
        "missing: events that should be there are not, or unnamed ones may be of this day; see below.",
        "",
        "All fleets since the topic began, by the brokers' offsets then:",
        "  archive: 1,102 accepted = 1,098 accounted for + 0 in flight + 3 under way + 1 missing",
        "  aggregate: 1,102 accepted = 1,100 accounted for + 0 in flight + 0 under way + 2 missing",
        "",
        (
            "  missing in archive: fleet demo, device press-\ufffd[2J, event e-1, received 2026-03-01T11:00:00.000000Z,"
            " partition 3 offset 40"
        ),
        "  missing in aggregate: fleet ?, device ?, event ?, received ?, partition 1 offset 2, no longer in Kafka",
        "  and 1 more that have not been named",
        "",
        "2 are still in Kafka: reconcile runs them again, and then they leave this list.",
        "1 are no longer in Kafka and cannot be run again; another consumer may have them, by offset.",
    ]


def test_a_person_reads_what_replays_of_the_day_have_changed() -> None:
    ours = ReplayOfDay(
        "replay-0123456789abcdef", None, f"{DAY}T10:00:00.000000Z", f"{DAY}T12:00:00.000000Z", "done", 1200, 3, 1203
    )
    facts = LedgerFacts(AS_OF, TALLIES, [], [], replays=[ours])
    assert list(write_text(draw_up(DAY, facts)))[-2:] == [
        "Replays of hours of this day:",
        (
            "  replay-0123456789abcdef, done: fleet (all), 2026-03-01T10:00Z to 2026-03-01T12:00Z;"
            " 1,200 events counted for the first time, 3 samples removed, 1,203 added"
        ),
    ]


def test_a_quiet_day_and_a_ledger_that_was_never_kept_are_reported() -> None:
    assert "nothing was received" in "\n".join(write_text(draw_up(DAY, LedgerFacts(AS_OF, [], [], []))))
    assert "have not been asked yet" in "\n".join(write_text(draw_up(DAY, LedgerFacts(None, [], [], []))))


def ask(answer: Any, monkeypatch: pytest.MonkeyPatch, *options: str) -> tuple[int, list[Any]]:
    """Return the command with this answer of reconcile."""
    asked: list[Any] = []

    def reconcile(question: Any) -> Any:
        asked.append(question)
        return answer

    monkeypatch.setattr(statement, "find_function", lambda _options, _verb: reconcile)
    return main(["statement", *options]), asked


def test_the_statement_of_a_day_is_asked_for_and_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = msgspec.to_builtins(draw_up(DAY, FACTS))
    assert ask(answer, monkeypatch, "--day", DAY) == (0, [{"statement": DAY}])
    assert capsys.readouterr().out.splitlines() == list(write_text(draw_up(DAY, FACTS)))


def test_in_json_the_statement_is_printed_as_reconcile_answered_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = msgspec.to_builtins(draw_up(DAY, FACTS))
    assert ask(answer, monkeypatch, "--day", DAY, "--json")[0] == 0
    assert json.loads(capsys.readouterr().out) == answer


@pytest.mark.parametrize(
    ("day", "problem"), [("2026-13-45", "is no day"), ("yesterday", "is no day"), ("2999-01-01", "has not begun")]
)
def test_a_day_that_cannot_have_a_statement_is_refused_before_anything_is_asked(
    day: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["statement", "--day", day]) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "says"),
    [({}, "the database does not answer"), ({"day": DAY}, "this release cannot read the stage's answer")],
)
def test_without_a_statement_the_operator_sees_why(
    answer: Any, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(answer, monkeypatch)[0] == 1
    assert says in capsys.readouterr().err
