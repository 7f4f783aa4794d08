"""A named query takes its values by name, and prints every one that it needs."""

import json
from pathlib import Path

import pytest

from cli import query
from cli.__main__ import main
from cli.query import NAMED, Found, fill
from cli.stages import CommandError, Target


def test_a_value_that_a_query_needs_twice_is_asked_for_once() -> None:
    sql = "-- What it is.\n-- Parameters: device, from, to, from, to.\nSELECT ?, ?, ?, ?, ?"
    assert fill(sql, ["d", "1", "2"]) == ["d", "1", "2", "1", "2"]


def test_too_few_values_are_refused_with_the_names_of_all() -> None:
    with pytest.raises(CommandError, match="3 values: device, from, to; 1 were given"):
        fill("-- Parameters: device, from, to, from, to.\n", ["d"])


@pytest.mark.parametrize("path", sorted(NAMED.glob("*_between.sql")), ids=lambda path: path.stem)
def test_every_named_query_says_as_many_parameters_as_it_has_question_marks(path: Path) -> None:
    sql = path.read_text()
    (line,) = (line for line in sql.splitlines() if line.startswith("-- Parameters: "))
    statement = "\n".join(line for line in sql.splitlines() if not line.startswith("--"))
    assert len(line.split(", ")) == statement.count("?")


def test_in_json_each_row_is_an_object_of_its_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ask(target: Target, sql: str, parameters: list[str]) -> Found:
        assert (target.stage, sql, parameters) == ("prod", "SELECT ?", ["press-1"])
        return Found(["device", "events"], [("press-1", 2), (None, float("nan")), ("a\nb\x1b[2J", 1.5)])

    monkeypatch.setattr(query, "ask", ask)
    assert main(["query", "--sql", "SELECT ?", "--json", "--stage", "prod", "press-1"]) == 0
    said = capsys.readouterr().out
    assert [json.loads(line) for line in said.splitlines()] == [
        {"device": "press-1", "events": 2},
        {"device": None, "events": None},
        {"device": "a\nb\x1b[2J", "events": 1.5},
    ]
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "either --sql '...' or --name NAME"),
        (["--sql", "SELECT 1", "--name", "gaps_between"], "either --sql '...' or --name NAME"),
        (["--name", "no_such"], "'no_such' is no named query: choose one of dead_letters_by_id"),
    ],
)
def test_a_query_that_cannot_run_is_refused(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["query", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_a_deployed_stage_that_cannot_be_asked_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert main(["query", "--stage", "prod", "--sql", "SELECT 1"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(
        "Athena cannot be asked from here: You must specify a region. `sluice profile add` remembers"
    )
