"""What ingest answers is what its contract promises."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from sluice.core.api.answers import Result, answer_refusal, answer_results, reject
from sluice.core.errors import Advice, Refusal
from sluice.core.ingest.judge import Rejected, judge
from tests.support import samples

PROBLEM: dict[str, Any] = json.loads((Path(__file__).parents[2] / "schemas/problem/1.json").read_text())


def rejected(index: int, name: str) -> Result:
    judged = judge(samples.read_bytes(name), "telemetry", "demo", samples.request(), samples.rules())
    assert isinstance(judged, Rejected)
    return reject(index, judged.unverified.event_id, judged.rejection)


BAD = [
    rejected(index, name)
    for index, name in enumerate(
        ["telemetry-malformed.json", "telemetry-invalid.json", "telemetry-unknown-firmware.json"]
    )
]


@pytest.mark.parametrize(
    "answer",
    [
        answer_refusal(Refusal(413, "body_too_large", "Too large."), "c-1", 1),
        answer_refusal(Refusal(429, "pressure", "Send less.", advice=Advice(0.05, 90)), "c-1", 1),
        answer_results(BAD, "c-1", 1),
        answer_results([*BAD, Result(3, "e", "retry", {"code": "not_stored", "message": "no report"})], "c-1", 1),
    ],
    ids=["refused", "under pressure", "all rejected", "to retry"],
)
def test_an_error_keeps_the_problem_schema(answer: Any) -> None:
    jsonschema.validate(json.loads(answer.body), PROBLEM)


def test_a_mixed_answer_keeps_the_schema_of_its_results() -> None:
    answer = answer_results([*BAD, Result(3, "e", "accepted")], "c-1", 1)
    assert answer.status == 207
    jsonschema.validate(json.loads(answer.body)["results"], PROBLEM["properties"]["results"])


def test_under_pressure_the_header_and_the_advice_ask_for_the_same_wait() -> None:
    answer = answer_refusal(Refusal(429, "pressure", "Send less.", advice=Advice(0.25, 42)), "c-1", 1)
    body = json.loads(answer.body)
    assert body["advice"] == {"sample": 0.25, "retry_after": 42}
    assert answer.headers["retry-after"] == "42"
    assert set(PROBLEM["properties"]["advice"]["properties"]) == set(body["advice"])
