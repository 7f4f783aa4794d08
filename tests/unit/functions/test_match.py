"""What match reports of a run, and what it does while a store is away."""

from types import SimpleNamespace
from typing import Any

import pytest

from functions.match import handler
from sluice.core.errors import Retryable
from sluice.edge.database import Database
from sluice.edge.matching.done import Done
from sluice.edge.metrics import metrics

SETTINGS = SimpleNamespace(match_statement_seconds=5, match_reserve_seconds=500)


class Context:
    """An invocation with some time left."""

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


def test_it_reports_what_was_done_and_how_long_the_rest_waits() -> None:
    run: Any = SimpleNamespace(run=lambda: None, done=Done(ids=9, conflicts=2, removed=1, unsettled=3))
    tables: Any = SimpleNamespace(find_age=lambda: 60.0)
    assert handler.tell(run, tables) == {
        "IdsMatched": 9,
        "ConflictsWritten": 2,
        "SamplesRemoved": 1,
        "CopiesUnsettled": 3,
        "MatchBehindSeconds": 60.0,
    }


def test_a_run_that_ends_early_tells_what_it_gave_up() -> None:
    def fail() -> None:
        raise Retryable("S3 is down")

    run: Any = SimpleNamespace(run=fail, done=Done(ids=9, unsettled=3))
    with pytest.raises(Retryable):
        handler.tell(run, tables=None)  # type: ignore[arg-type]  # not asked
    assert metrics.metric_set["CopiesUnsettled"]["Value"] == [3.0]
    assert "MatchBehindSeconds" not in metrics.metric_set


def test_settling_comes_first_and_ends_last() -> None:
    left = 900.0
    context: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: left * 1000)
    settings: Any = SimpleNamespace(match_statement_seconds=60, match_reserve_seconds=800)
    time = handler.share(context, settings)
    states = []
    for left in (900.0, 840.0, 790.0, 50.0):  # noqa: B007 - the context reads it
        states.append((time.settle_first(), time.find(), time.settle()))  # noqa: PERF401
    assert states == [(True, True, True), (False, True, True), (False, False, True), (False, False, False)]


@pytest.mark.filterwarnings("ignore:No application metrics")
def test_a_store_that_is_away_ends_the_run_without_an_error_and_without_metrics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> Any:
        raise Retryable("the database is down")

    monkeypatch.setattr(handler, "build", lambda: (None, SETTINGS))
    for name, value in {"HOST": "h", "PORT": "1", "NAME": "n", "USER": "sluice_match", "AUTH": "none"}.items():
        monkeypatch.setenv(f"DATABASE_{name}", value)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setattr(Database, "use", fail)
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "test")
    assert handler.handler({}, Context()) == {}
    assert metrics.metric_set == {}
