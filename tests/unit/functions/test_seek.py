"""What seek does for a call: both queries with the same values, and an outage is no error of ours."""

import io
import json
from collections.abc import Sequence
from datetime import date
from typing import Any, cast

import msgspec
import pytest

from functions.seek import handler
from sluice.core.trace.lake_search import EventSearch, SearchResult
from sluice.edge.metrics import metrics
from sluice.edge.trace.athena import Athena, Failure, Rows
from sluice.edge.trace.lake_search import Seeker
from tests.unit.core.trace.test_lake_search import ID, LETTER, ROW

WANTED = EventSearch(ID, "demo", None, date(2026, 11, 19), date(2026, 11, 21), "c-1")


class Played:
    """Athena with configured answers."""

    def __init__(self, copies: Rows | Failure, letters: Rows | Failure) -> None:
        self._answers = [copies, letters]
        self.asked: list[str] = []

    def ask(self, queries: Sequence[str], parameters: Sequence[str]) -> list[Rows | Failure]:
        assert parameters == WANTED.parameters()
        self.asked += queries
        return self._answers


def ask(played: Played, monkeypatch: pytest.MonkeyPatch) -> SearchResult:
    """Invoke as trace does: the event and the answer pass through JSON."""
    monkeypatch.setattr(handler, "build", lambda: Seeker(cast("Athena", played)))
    monkeypatch.setattr(metrics.provider, "namespace", "test")
    event: dict[str, Any] = json.loads(msgspec.json.encode(WANTED))
    return msgspec.json.decode(json.dumps(handler.handler(event, None)), type=SearchResult)


def test_a_question_and_its_answer_survive_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played([ROW], [LETTER, LETTER | {"event_id": "other"}])
    found = ask(played, monkeypatch)
    assert found.copies is not None
    assert found.letters is not None
    assert (len(found.copies), len(found.letters), found.problem) == (1, 1, None)
    # Athena's history of queries shows who asked.
    assert all(query.startswith("/* correlation_id=c-1 */ ") for query in played.asked)
    assert ["FROM raw_events" in query for query in played.asked] == [True, False]
    assert "FROM dead_letters" in played.asked[1]


def test_one_table_that_does_not_answer_leaves_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ask(Played(Failure("timeout", "no answer within 12 s"), [LETTER]), monkeypatch)
    assert (found.copies, found.problem, found.detail) == (None, "timeout", "no answer within 12 s")
    assert found.letters is not None
    assert len(found.letters) == 1


def test_an_outage_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    away = Failure("unavailable", "away")
    written = io.StringIO()
    monkeypatch.setattr(handler.logger.registered_handler, "stream", written)
    assert ask(Played(away, away), monkeypatch) == SearchResult(None, None, "unavailable", "away; away")
    assert json.loads(written.getvalue())["correlation_id"] == "c-1"


def test_of_two_problems_the_outage_is_reported_with_the_messages_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, away = Failure("timeout", "no answer within 12 s"), Failure("unavailable", "away")
    for played in (Played(slow, away), Played(away, slow)):
        assert ask(played, monkeypatch) == SearchResult(None, None, "unavailable", "away; no answer within 12 s")
