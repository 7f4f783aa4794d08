"""What backtest reports of a run, and what it does while a store is away."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from functions.backtest import handler
from sluice.core.errors import Retryable
from sluice.edge.backtest.backtesting import BacktestReport
from sluice.edge.metrics import metrics
from tests.unit.functions.test_learn import LOGIN, Context

SETTINGS = SimpleNamespace(statement_seconds=5, reserve_seconds=90, backtest_lease_seconds=360)


class Lent:
    """A database that lends a connection."""

    def use(self) -> Any:
        return nullcontext()

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)


def test_it_reports_what_was_done_and_how_long_others_wait() -> None:
    assert handler.report(BacktestReport(done=2, failed=1, windows=10_080, wait_seconds=70.0)) == {
        "BacktestsDone": 2,
        "BacktestsFailed": 1,
        "WindowsTested": 10_080,
        "BacktestWaitSeconds": 70.0,
    }


def test_a_run_without_a_database_ends_early_and_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise Retryable("the database is away")

    monkeypatch.setattr(handler, "build", lambda: (SimpleNamespace(run=fail), SETTINGS))
    monkeypatch.setattr(handler, "Database", lambda *_: Lent())
    function: Any = handler.handler
    assert function.__wrapped__({}, Context()) == {}
    assert "BacktestsDone" not in metrics.metric_set


def test_a_run_with_a_defect_reports_its_work_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    done = BacktestReport(done=3, defect=ValueError("an array has 47 values"))
    monkeypatch.setattr(handler, "build", lambda: (SimpleNamespace(run=lambda *_: done), SETTINGS))
    monkeypatch.setattr(handler, "Database", lambda *_: Lent())
    function: Any = handler.handler
    with pytest.raises(ValueError, match="47 values"):
        function.__wrapped__({}, Context())
    assert "BacktestsDone" in metrics.metric_set


def test_a_run_begins_no_backtest_that_it_has_no_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def run(_connection: object, _tables: object, has_time: Any) -> BacktestReport:
        asked.append(has_time())
        return BacktestReport()

    monkeypatch.setattr(handler, "Database", lambda *_: Lent())
    function: Any = handler.handler
    for reserve in (90, 400):
        settings = SimpleNamespace(**vars(SETTINGS) | {"reserve_seconds": reserve})
        monkeypatch.setattr(handler, "build", lambda settings=settings: (SimpleNamespace(run=run), settings))
        function.__wrapped__({}, Context())
    assert asked == [True, False]
