"""What match reports of a run, and what it does while a store is away."""

from types import SimpleNamespace
from typing import Any

import pytest

from functions.match import handler
from sluice.core.errors import Retryable
from sluice.edge.database import Database
from sluice.edge.matching.match_run import Done
from sluice.edge.metrics import metrics

SETTINGS = SimpleNamespace(match_statement_seconds=5, match_reserve_seconds=500)


class Context:
    """An invocation with some time left."""

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


@pytest.fixture(autouse=True)
def clean() -> Any:
    yield
    metrics.clear_metrics()


def test_it_reports_what_was_done_and_how_long_the_rest_waits() -> None:
    run: Any = SimpleNamespace(run=lambda: Done(ids=9, conflicts=2, removed=1, unsettled=3))
    tables: Any = SimpleNamespace(find_age=lambda: 60.0)
    assert handler.tell(run, tables) == {
        "IdsMatched": 9,
        "ConflictsWritten": 2,
        "SamplesRemoved": 1,
        "CopiesUnsettled": 3,
        "MatchBehindSeconds": 60.0,
    }


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
