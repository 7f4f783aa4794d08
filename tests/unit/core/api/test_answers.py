import json
from typing import Any

import pytest

from sluice.core.api.answers import ACCEPTED, REJECTED, RETRY, Result, answer_refusal, answer_results
from sluice.core.errors import Refusal


def answer(*statuses: str) -> tuple[int, dict[str, str], Any]:
    results = [Result(index, f"id-{index}", status) for index, status in enumerate(statuses)]
    written = answer_results(results, "c-1", retry_after=3).for_gateway()
    return written["statusCode"], written["headers"], json.loads(written["body"])


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ([ACCEPTED, ACCEPTED], 202),
        ([ACCEPTED, REJECTED], 207),
        ([ACCEPTED, RETRY], 207),
        ([ACCEPTED, REJECTED, RETRY], 207),
        ([REJECTED, REJECTED], 400),
        ([REJECTED, RETRY], 429),
        ([RETRY], 429),
    ],
)
def test_the_whole_is_answered_by_what_became_of_the_parts(statuses: list[str], status: int) -> None:
    code, headers, body = answer(*statuses)
    assert code == status
    assert [result["status"] for result in body["results"]] == statuses
    assert [result["index"] for result in body["results"]] == list(range(len(statuses)))
    assert headers["x-correlation-id"] == "c-1"


def test_only_an_answer_that_asks_for_a_retry_says_when() -> None:
    assert answer(RETRY)[1]["retry-after"] == "3"
    assert "retry-after" not in answer(REJECTED)[1]


def test_errors_are_problem_json() -> None:
    _, headers, body = answer(REJECTED)
    assert headers["content-type"] == "application/problem+json"
    assert (body["status"], body["code"], body["correlation_id"]) == (400, "all_rejected", "c-1")


def test_a_refusal_carries_its_code_and_no_results() -> None:
    written = answer_refusal(Refusal(401, "missing_key", "Send a key."), "c-1", 3).for_gateway()
    body = json.loads(written["body"])
    assert (written["statusCode"], body["code"], body["title"]) == (401, "missing_key", "Unauthorized")
    assert "results" not in body
