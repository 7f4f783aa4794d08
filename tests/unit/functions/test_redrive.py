"""redrive answers questions, and refusals with their status instead of failing; else it goes on with re-drives."""

import json
from typing import Any

import pytest

from functions.redrive.handler import answer
from sluice.core.errors import Refusal, Retryable

ASKED = {"from": "2026-11-20T08:00:00Z", "to": "2026-11-20T09:00:00Z"}
QUESTIONS = ("groups", "fleet_groups", "explain", "propose", "measure")


class Looking:
    """What answers questions, and what it was asked."""

    def __init__(self, raising: Exception | None = None) -> None:
        self.asked: list[tuple[str, object]] = []
        self._raising = raising

    def __getattr__(self, name: str) -> Any:
        def ask(asked: object) -> dict[str, Any]:
            self.asked.append((name, asked))
            if self._raising:
                raise self._raising
            return {"items": []}

        return ask


def ask(looking: Looking, step: str) -> Any:
    """Ask, with an answer that passes through JSON."""
    given: Any = looking
    return json.loads(json.dumps(answer(given, step, ASKED)))


@pytest.mark.parametrize("step", QUESTIONS)
def test_each_question_has_its_answer(step: str) -> None:
    looking = Looking()
    assert ask(looking, step) == {"result": {"items": []}}
    assert looking.asked == [(step, ASKED)]


@pytest.mark.parametrize("step", QUESTIONS)
def test_a_refusal_is_an_answer(step: str) -> None:
    refused = ask(Looking(Refusal(404, "unknown_group", "There is none.")), step)
    assert refused == {"refused": {"status": 404, "code": "unknown_group", "detail": "There is none."}}


def test_a_failure_is_none() -> None:
    with pytest.raises(Retryable):
        ask(Looking(Retryable("S3 does not answer")), "groups")
