"""`sluice detect backtest RULE --fleet FLEET`: what is asked of the stage, the wait, and what is shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.support import admin_documents as documents
from tests.support.played_admin import PlayedAdmin

Shown = pytest.CaptureFixture[str]
RULE = {"rule_id": "hot", "kind": "above", "metric": "bearing_temp", "open": 80, "clear": 75}


def play(api: PlayedAdmin, *ends: dict[str, Any]) -> None:
    """Answer that a backtest is asked, and then how far it is."""
    api.then(202, documents.backtest())
    for each in ends:
        api.then(200, each)


def test_a_rule_is_tested_and_its_incidents_are_listed(
    api: PlayedAdmin, run: Run, capsys: Shown, waits: list[float]
) -> None:
    play(api, documents.backtest("running"), documents.backtest("done"))
    assert run("detect", "backtest", "hot", "--fleet", "demo", "--days", "7") == 0
    asked, *looked = api.requests
    assert (asked.method, asked.path) == ("POST", "/v1/admin/fleets/demo/backtests")
    assert json.loads(asked.body) == {"rule": "hot", "days": 7}
    documents.check(json.loads(asked.body), "WantedBacktest")
    assert [each.path for each in looked] == ["/v1/admin/backtests/backtest-12"] * 2
    assert len(waits) == 2
    out = capsys.readouterr().out
    for line in (
        "running 5 of 400 devices",
        "2026-11-24T08:03:00.000000Z,,2,press-1 press-2,93.25,93.25 degC is above the threshold of 80 degC",
        "Incidents: 1; 0.7143 for 100 device-days.",
        "140 device-days of 20 devices, from 2026-11-23T12:00:00.000000Z to 2026-11-30T12:00:00.000000Z.",
        "400 devices have the rule. Not all were tested: its time was used up.",
        (
            "Some minutes have several readings, and their order is not stored. The backtest assumed that the breaches"
            " of a minute follow each other."
        ),
    ):
        assert line in out


def test_the_json_is_the_backtest_alone(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    play(api, documents.backtest("done"))
    assert run("detect", "backtest", "default-silence", "--fleet", "demo", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found == documents.backtest("done")
    documents.check(found, "Backtest")
    documents.check(found["result"], "BacktestResult")
    assert json.loads(api.requests[0].body) == {"rule": "default-silence"}


def test_a_rule_in_a_file_is_sent_without_what_only_a_saved_one_has(api: PlayedAdmin, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "rule.json"
    file.write_text(json.dumps(documents.rule()))
    play(api, documents.backtest("done"))
    assert run("detect", "backtest", str(file), "--fleet", "demo") == 0
    asked = json.loads(api.requests[0].body)
    assert asked["rule"].keys() & {"state", "version", "promise", "fleet_id", "created_at"} == set()
    assert (asked["rule"]["rule_id"], asked["rule"]["unit"]) == ("hot", "degC")
    documents.check(asked, "WantedBacktest")


def test_numbers_without_a_unit_are_sent_without_one(api: PlayedAdmin, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "rule.json"
    file.write_text(json.dumps(RULE | {"kind": "zscore", "unit": "deviations"}))
    play(api, documents.backtest("done"))
    assert run("detect", "backtest", str(file), "--fleet", "demo") == 0
    assert "unit" not in json.loads(api.requests[0].body)["rule"]


def test_a_backtest_that_fails_says_why(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    play(api, documents.backtest("failed", trouble="Nothing is rolled yet."))
    assert run("detect", "backtest", "hot", "--fleet", "demo", "--json") == 1
    shown = capsys.readouterr()
    assert "backtest-12 has failed: Nothing is rolled yet." in shown.err
    assert json.loads(shown.out)["state"] == "failed"


def test_what_the_stage_refuses_is_said(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.refuse(409, "too_many_backtests", "Fleet demo has 5 unfinished backtests. Wait until one ends.")
    assert run("detect", "backtest", "hot", "--fleet", "demo") == 2
    assert "Wait until one ends" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hot", "--csv", "{file}"], "--csv takes no RULE"),
        (["--csv", "{file}", "--fleet", "demo"], "--csv takes no RULE"),
        (["--csv", "{file}", "--days", "3"], "--csv takes no RULE"),
        ([], "name a RULE with --fleet, or a file with --csv"),
        (["hot"], "--fleet is missing"),
        (["Hot!", "--fleet", "demo"], "is no rule's id"),
        (["missing.json", "--fleet", "demo"], "missing.json cannot be read"),
        (["{file}", "--fleet", "demo"], "is not a rule in JSON"),
        (["hot", "--fleet", "demo", "--days", "31"], "less than or equal to 30"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(
    run: Run, capsys: Shown, tmp_path: Path, words: list[str], said: str
) -> None:
    file = tmp_path / "series.csv"
    file.write_text("timestamp,value\n")
    assert run("detect", "backtest", *(word.format(file=file) for word in words)) == 2
    assert said in capsys.readouterr().err
