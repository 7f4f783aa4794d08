"""backtest reads rollups and changes none, judges as learn does, and a run that lives keeps its claim."""

from dataclasses import replace

import pytest

from infra.profiles.baseline import BASELINE
from sluice.edge.settings import BacktestSettings, LearnSettings
from tests.infra.templates import Templates, listed


def test_it_reads_files_of_rollups_and_writes_nothing(templates: Templates) -> None:
    actions = {action for statement in templates.statements("backtest") for action in listed(statement["Action"])}
    assert {action for action in actions if action.startswith(("s3:", "kafka", "sns:", "sqs:", "lambda:"))} == {
        "s3:GetObject"
    }


def test_it_knows_how_learn_works(templates: Templates) -> None:
    settings, learn = templates.settings("backtest", BacktestSettings), templates.settings("learn", LearnSettings)
    for name in ("learn_every_seconds", "learn_learning_seconds", "learn_days"):
        assert getattr(settings, name) == getattr(learn, name)


def test_a_claim_holds_for_longer_than_a_run_and_a_backtest_that_is_begun_has_time(templates: Templates) -> None:
    settings, timeout = templates.settings("backtest", BacktestSettings), templates.functions()["backtest"]
    assert timeout.properties["Timeout"] < settings.backtest_lease_seconds
    assert settings.backtest_seconds + settings.statement_seconds <= settings.reserve_seconds
    with pytest.raises(ValueError, match="time to end it"):
        replace(BASELINE.backtest, reserve_seconds=300)
