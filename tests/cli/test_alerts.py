"""`sluice alerts`: what is asked of the API, and what people read."""

import json
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.support.played_admin import PlayedAdmin

Shown = pytest.CaptureFixture[str]
ID = "ab" * 12
TIME = "2026-11-30T12:00:00.000000Z"
INCIDENT: dict[str, Any] = {
    "incident_id": ID,
    "state": "open",
    "severity": "critical",
    "fleet_id": "demo",
    "rule_id": "hot",
    "metric": "temperature",
    "devices": 3,
    "open_devices": 2,
    "opened_at": TIME,
    "resolved_at": None,
    "resolution": None,
    "acknowledged_by": None,
    "held": "",
    "why": "temperature is above 80 C\x1b[2J",
}
SERIES: dict[str, Any] = {
    "rule_id": "hot",
    "metric": "temperature",
    "device_id": "d-1",
    "heard_at": TIME,
    "said": ["1 of its latest 1 readings are breaches; it fires with 1."],
    "why": "temperature is above 80 C",
    "statistics": {"mean": 70.0, "deviation": 2.5, "count": 60, "computed_at": TIME, "stale": False},
    "readings": [{"at": TIME, "value": 81.5, "state": "breach", "event_id": "e-1"}],
}
SILENCE: dict[str, Any] = {
    "silence": 7,
    "fleet_id": "demo",
    "rule_id": None,
    "device_id": "d-2",
    "until": TIME,
    "reason": "repair",
    "principal": "someone",
    "made_at": TIME,
}


def test_incidents_are_listed_with_filters(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, {"items": [INCIDENT], "next_cursor": None})
    assert run("alerts", "list", "--fleet", "demo", "--state", "open", "--json") == 0
    (request,) = api.requests
    assert request.path == "/v1/admin/alerts"
    assert {"fleet_id": "demo", "state": "open", "severity": "all"}.items() <= request.query.items()
    assert json.loads(capsys.readouterr().out)["items"] == [INCIDENT]


def test_an_incident_says_why_someone_was_woken(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    attempt = {"sequence": 1, "destination_id": "ops", "attempt": 1, "outcome": "failed", "status": 500}
    api.then(
        200,
        {
            "incident": INCIDENT,
            "said": ["1 messages were written."],
            "devices": [{"device_id": "d-1", "joined_at": TIME, "cleared_at": None}],
            "series": [SERIES],
            "silences": [SILENCE],
            "messages": [{"sequence": 1, "happening": "opened", "written_at": TIME, "sent_at": None}],
            "attempts": [attempt | {"detail": "no answer", "at": TIME, "seconds": 1.0}],
        },
    )
    assert run("alerts", "show", ID) == 0
    assert api.requests[0].path == f"/v1/admin/alerts/{ID}"
    out = capsys.readouterr().out
    for line in (
        "critical open: temperature is above 80 C",
        "3 devices, 2 of them open",
        "1 messages were written.",
        "  d-1 from 2026-11-30T12:00:00.000000Z to now",
        "compared with mean 70, deviation 2.5 of 60 values",
        "! 2026-11-30T12:00:00.000000Z 81.5  event e-1",
        "7: d-2 until",
        "1 opened, written 2026-11-30T12:00:00.000000Z, sent not yet",
        "ops, message 1, attempt 1: failed 500: no answer",
    ):
        assert line in out
    assert "\x1b" not in out


def test_a_device_says_why_no_one_was_woken(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, {"device_id": "d-1", "series": [], "silences": [SILENCE]})
    assert run("alerts", "show", "demo/d-1") == 0
    assert api.requests[0].path == "/v1/admin/fleets/demo/devices/d-1/alerts"
    assert "no reading breached a rule" in capsys.readouterr().out
    assert run("alerts", "show", "demo/") == 2


@pytest.mark.parametrize(
    ("words", "path", "body"),
    [
        (("acknowledge", ID), f"alerts/{ID}/acknowledge", {}),
        (("resolve", ID, "--reason", "fixed"), f"alerts/{ID}/resolve", {"reason": "fixed"}),
        (
            ("resolve", ID, "--reason", "a lid was open", "--false-alarm"),
            f"alerts/{ID}/resolve",
            {"reason": "a lid was open", "false_alarm": True},
        ),
        (
            ("silence", "demo", "--minutes", "30", "--reason", "repair", "--device", "d-2"),
            "silences",
            {"fleet_id": "demo", "minutes": 30, "reason": "repair", "device_id": "d-2"},
        ),
        (("end-silence", "7", "--reason", "done"), "silences/7/end", {"reason": "done"}),
    ],
)
def test_what_is_done_is_asked_of_its_route(
    api: PlayedAdmin, run: Run, words: tuple[str, ...], path: str, body: dict[str, Any]
) -> None:
    api.then(200, SILENCE)
    assert run("alerts", *words) == 0
    (request,) = api.requests
    assert (request.method, request.path, json.loads(request.body)) == ("POST", f"/v1/admin/{path}", body)


def test_silences_are_listed_with_their_ends(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, {"items": [SILENCE], "next_cursor": None})
    assert run("alerts", "silences", "--ended") == 0
    assert api.requests[0].query["ended"] == "true"
    assert "repair" in capsys.readouterr().out
