"""A function is found at a deployed stage by its name and at the local stack by its description, and asked."""

import io
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from cli.__main__ import main

TRACE = {
    "asked": {"event_id": "e", "fleet_id": None, "device_id": None, "from": "2026-03-01", "to": "2026-03-02"},
    "as_of": "2026-03-02T12:00:00.000000Z",
    "visible_after_seconds": 130,
    "verdict": "never_received",
    "unasked": [],
    "truncated": False,
    "events": [],
}
STACK = {
    "region": "here",
    "lambdas": "http://local",
    "admin": {"access_key": "a", "secret_key": "s"},
    "functions": {"trace": "local-trace"},
}


class Lambda:
    """Answers one invocation."""

    def __init__(self, answer: Any, error: str | None = None) -> None:
        self.answer = answer
        self.error = error
        self.endpoint: str | None = None
        self.asked: list[tuple[str, Any]] = []

    def client(self, _service: str, *_region: str, endpoint_url: str | None = None, **_options: Any) -> "Lambda":
        self.endpoint = endpoint_url
        return self

    def invoke(self, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803 - as AWS calls them
        self.asked.append((FunctionName, json.loads(Payload)))
        if isinstance(self.answer, Exception):
            raise self.answer
        said = {"Payload": io.BytesIO(json.dumps(self.answer).encode())}
        return said | ({"FunctionError": self.error} if self.error else {})


def give(played: Lambda, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(boto3, "client", played.client)
    return main(["trace", *arguments])


def test_a_deployed_stage_is_asked_by_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    played = Lambda(TRACE)
    assert give(played, monkeypatch, "e", "--stage", "prod", "--device", "press-1", "--to", "2026-03-02") == 0
    assert played.endpoint is None
    assert played.asked == [("sluice-prod-trace", {"event_id": "e", "device_id": "press-1", "to": "2026-03-02"})]
    assert "event e, arrived from 2026-03-01 to 2026-03-02: never received" in capsys.readouterr().out


def test_the_local_stack_is_asked_where_it_says_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stack.json").write_text(json.dumps(STACK))
    played = Lambda(TRACE)
    assert give(played, monkeypatch, "--dir", str(tmp_path), "--", "e") == 0
    assert (played.endpoint, played.asked) == ("http://local", [("local-trace", {"event_id": "e"})])


def test_in_json_the_answer_is_printed_as_the_function_gave_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert give(Lambda(TRACE), monkeypatch, "e", "--stage", "prod", "--json") == 0
    assert json.loads(capsys.readouterr().out) == TRACE


@pytest.mark.parametrize(
    ("played", "status", "says"),
    [
        (Lambda(EndpointConnectionError(endpoint_url="here")), 1, "trace did not answer: "),
        (Lambda({"errorMessage": "Task timed out"}, "Unhandled"), 1, "trace failed: Task timed out"),
        (Lambda({"code": "invalid_parameter", "detail": "from: no day"}), 2, "invalid_parameter: from: no day"),
        (Lambda(TRACE | {"verdict": "of a later release"}), 1, "this release cannot read the stage's answer"),
    ],
)
def test_what_goes_wrong_is_said(
    played: Lambda, status: int, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert give(played, monkeypatch, "--stage", "prod", "e") == status
    assert says in capsys.readouterr().err
