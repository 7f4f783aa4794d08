"""`sluice destinations test`: what is asked, and what people read."""

import json

import pytest

from tests.cli.conftest import Run
from tests.support.played_admin import PlayedAdmin

Shown = pytest.CaptureFixture[str]
TESTED = {
    "destination_id": "on-call",
    "tested_at": "2026-11-30T12:00:00.000000Z",
    "outcome": "delivered",
    "detail": "hooks.example answered 200",
    "status": 200,
    "seconds": 0.42,
}


def test_a_delivered_test_is_one_line(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, TESTED)
    assert run("destinations", "test", "on-call") == 0
    (request,) = api.requests
    assert (request.method, request.path) == ("POST", "/v1/admin/destinations/on-call/test")
    assert capsys.readouterr().out == "on-call: delivered after 0.4 s. hooks.example answered 200.\n"


def test_a_test_that_was_not_delivered_ends_with_1_and_says_why(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    failed = TESTED | {"outcome": "refused", "detail": "there is no secret sluice-local-destinations/x", "status": None}
    api.then(200, failed)
    assert run("destinations", "test", "on-call", "--json") == 1
    assert json.loads(capsys.readouterr().out) == failed


def test_a_test_too_soon_is_not_repeated_by_the_command(
    api: PlayedAdmin, run: Run, waits: list[float], capsys: Shown
) -> None:
    detail = "Destination on-call was tested a moment ago: try again in 42 s."
    api.then(429, {"code": "test_too_soon", "detail": detail})
    assert run("destinations", "test", "on-call") == 1
    assert (len(api.requests), waits) == (1, [])
    assert detail in capsys.readouterr().err


@pytest.mark.parametrize("status", [None, 503, 504])
def test_a_test_whose_outcome_is_unknown_is_not_repeated_and_says_so(
    status: int | None, api: PlayedAdmin, run: Run, waits: list[float], capsys: Shown
) -> None:
    api.then(status, {"message": "Service Unavailable"})
    assert run("destinations", "test", "on-call") == 1
    assert (len(api.requests), waits) == (1, [])
    assert "Whether the message was sent is not known: look at the destination" in capsys.readouterr().err


def test_a_test_that_the_gateway_throttled_is_asked_for_again(api: PlayedAdmin, run: Run, waits: list[float]) -> None:
    api.then(429, {"message": "Too Many Requests"}).then(200, TESTED)
    assert run("destinations", "test", "on-call") == 0
    assert (len(api.requests), waits) == (2, [1])
