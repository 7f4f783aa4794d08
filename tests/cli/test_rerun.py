"""The command runs all records again, and reports what stops it."""

from typing import Any

import pytest

from cli import rerun
from cli.__main__ import main


def give_again(monkeypatch: pytest.MonkeyPatch, *answers: dict[str, Any]) -> tuple[int, list[Any], list[float]]:
    """Return the command with these answers of reconcile, the calls to reconcile, and the waits."""
    given, asked, waited = iter(answers), list[Any](), list[float]()

    def reconcile(question: Any) -> Any:
        asked.append(question["rerun"]["from"])
        return next(given)

    monkeypatch.setattr(rerun, "find_function", lambda _options, _verb: reconcile)
    monkeypatch.setattr("cli.rerun.time.sleep", waited.append)
    return main(["rerun", "aggregate", "3", "20", "40"]), asked, waited


def test_a_run_continues_from_where_the_last_one_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {"records": 5, "next": 25, "failed_at": None}, {"records": 15, "next": None, "failed_at": None}
    assert give_again(monkeypatch, *answers) == (0, [20, 25], [])
    assert "aggregate was given 20 records of partition 3 again" in capsys.readouterr().out


def test_it_waits_while_another_run_is_at_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {"busy": True}, {"records": 20, "next": None, "failed_at": None}
    assert give_again(monkeypatch, *answers) == (0, [20, 20], [rerun.WAIT_SECONDS])
    assert "another run of reconcile is at work" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({}, "the run ended before its time, at offset 20"),
        ({"records": 2, "next": None, "failed_at": 22}, "aggregate did not take offset 22"),
    ],
)
def test_where_it_cannot_continue_it_says_from_where_to_continue_later(
    answer: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert give_again(monkeypatch, answer)[0] == 1
    assert says in capsys.readouterr().err
