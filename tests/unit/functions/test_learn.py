"""What learn reports of a run, and what it does while a store is away."""

from contextlib import nullcontext
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from functions.learn import handler
from sluice.core.errors import Retryable
from sluice.edge.detect.learning import LearnReport
from sluice.edge.metrics import metrics

SETTINGS = SimpleNamespace(statement_seconds=5, reserve_seconds=90, learn_learning_seconds=60, learn_days=7)
LOGIN = {
    "DATABASE_HOST": "nowhere",
    "DATABASE_PORT": "1",
    "DATABASE_NAME": "sluice",
    "DATABASE_USER": "sluice_learn",
    "DATABASE_AUTH": "none",
    "AWS_REGION": "us-east-1",
}


class Context:
    """An invocation with some time left."""

    def get_remaining_time_in_millis(self) -> int:
        return 300_000


def test_it_reports_what_was_done_and_how_old_the_oldest_statistics_are() -> None:
    done = LearnReport(
        shards=2,
        devices=30,
        series=120,
        verdicts=3,
        asleep=frozenset({"demo"}),
        unpublished=1,
        oldest=timedelta(seconds=70),
        types_age=timedelta(hours=1),
    )
    assert handler.report(done) == {
        "DevicesDescribed": 30,
        "BaselinesComputed": 120,
        "VerdictsSent": 3,
        "FleetsAsleep": 1,
        "ShardsUnpublished": 1,
        "StatisticsAgeSeconds": 70.0,
        "DeviceTypesAgeSeconds": 3600.0,
    }


def test_before_anything_was_rolled_no_statistics_are_old() -> None:
    assert "StatisticsAgeSeconds" not in handler.report(LearnReport())
    # Nor is any type old that no rule needs.
    assert "DeviceTypesAgeSeconds" not in handler.report(LearnReport())


def test_a_run_without_a_database_ends_early_and_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise Retryable("the database is away")

    monkeypatch.setattr(handler, "build", lambda: (SimpleNamespace(run=fail), SETTINGS))
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(handler, "connect", fail)
    function: Any = handler.handler
    assert function.__wrapped__({}, Context()) == {}
    # So the alarm, which takes missing data for trouble, fires.
    assert "StatisticsAgeSeconds" not in metrics.metric_set


def test_a_run_with_a_defect_reports_its_work_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    done = LearnReport(shards=12, oldest=timedelta(seconds=70), defect=ValueError("an array has 47 values"))

    class Lent:
        def use(self) -> Any:
            return nullcontext()

        def close(self) -> None:
            pass

    monkeypatch.setattr(handler, "build", lambda: (SimpleNamespace(run=lambda *_: done), SETTINGS))
    monkeypatch.setattr(handler, "Database", lambda *_: Lent())
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)
    function: Any = handler.handler
    with pytest.raises(ValueError, match="47 values"):
        function.__wrapped__({}, Context())
    assert "StatisticsAgeSeconds" in metrics.metric_set
