import json
from datetime import UTC, datetime

import msgspec
import pytest

from functions.recall import handler
from sluice.core.rollup_archive.recall import ArchivedRow, RecallAnswer, RecallQuestion, refuse
from sluice.edge.metrics import metrics

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROW = ArchivedRow(NOON, None, "cpu_temp", "C", 6, 1.5, 1.0, 2.0, 1.5, 2.0, 9.0, 0.25, (-1,), (6,))
QUESTION = RecallQuestion(
    "1h", "acme", None, ("cpu_temp",), NOON, NOON.replace(hour=13), ("rollups/a",), digests=True, correlation_id="c-1"
)


class Files:
    """Gives the configured answers."""

    def __init__(self, answer: RecallAnswer) -> None:
        self._answer = answer
        self.asked: list[RecallQuestion] = []

    def recall(self, question: RecallQuestion) -> RecallAnswer:
        self.asked.append(question)
        return self._answer


def ask(files: Files, monkeypatch: pytest.MonkeyPatch) -> RecallAnswer:
    """Invoke as query does: the event and the answer pass through JSON."""
    monkeypatch.setattr(handler, "build", lambda: files)
    monkeypatch.setattr(metrics.provider, "namespace", "test")
    event = json.loads(msgspec.json.encode(QUESTION))
    return msgspec.json.decode(json.dumps(handler.handler(event, None)), type=RecallAnswer)


def test_a_question_and_its_answer_survive_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(RecallAnswer((ROW,)))
    assert ask(files, monkeypatch) == RecallAnswer((ROW,))
    assert files.asked == [QUESTION]


def test_too_many_rows_are_an_answer_that_says_what_to_ask_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = ask(Files(refuse("9 rows")), monkeypatch)
    assert answer.rows == ()
    assert answer.too_much == "9 rows: ask for a shorter range, fewer devices or metrics, or a coarser resolution"
