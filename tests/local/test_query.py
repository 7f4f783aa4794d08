from pathlib import Path

import pytest

from local.query.__main__ import fill, main, print_rows
from local.query.catalog import SQL


def test_a_value_that_a_query_needs_twice_is_asked_for_once() -> None:
    sql = "-- What it is.\n-- Parameters: device, from, to, from, to.\nSELECT ?, ?, ?, ?, ?"
    assert fill(sql, ["d", "1", "2"]) == ["d", "1", "2", "1", "2"]


def test_too_few_values_are_refused_with_the_names_of_all() -> None:
    with pytest.raises(ValueError, match="3 values: device, from, to; 1 were given"):
        fill("-- Parameters: device, from, to, from, to.\n", ["d"])


@pytest.mark.parametrize("path", sorted(SQL.glob("*_between.sql")), ids=lambda path: path.stem)
def test_every_named_query_says_as_many_parameters_as_it_has_question_marks(path: Path) -> None:
    sql = path.read_text()
    (line,) = (line for line in sql.splitlines() if line.startswith("-- Parameters: "))
    statement = "\n".join(line for line in sql.splitlines() if not line.startswith("--"))
    assert len(line.split(", ")) == statement.count("?")


def test_without_a_stack_the_query_says_how_to_start_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dir", str(tmp_path), "--sql", "SELECT 1"]) == 2
    assert "make up" in capsys.readouterr().err


def test_what_a_device_wrote_is_shown_on_a_terminal_and_not_obeyed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_rows(["event"], [("[/x] [true] [bold]z\x1b[2J\u202e",)])
    shown = capsys.readouterr().out
    assert "[/x] [true] [bold]z\ufffd[2J\ufffd" in shown
    assert "\x1b[2J" not in shown
