"""What a stage did today is read from its statement and from its access log."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.cost import actual
from cli.stages import CommandError, Target

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def statement(accepted: Mapping[str, int]) -> dict[str, Any]:
    fleets = [
        {"fleet_id": fleet, "state": "balanced", "accepted": events, "rejected": 0, "archive": {}, "aggregate": {}}
        for fleet, events in accepted.items()
    ]
    return {"day": "2026-11-29", "as_of": "2026-11-29T12:00:00Z", "fleets": fleets, "positions": [], "missing": []}


@pytest.fixture
def stack(tmp_path: Path) -> Target:
    (tmp_path / "state").mkdir()
    (tmp_path / "stack.json").write_text("{}")
    began = (NOW - timedelta(hours=2)).timestamp()
    os.utime(tmp_path / "stack.json", (began, began))
    routes = ["POST /v1/events", "GET /", "POST /v1/readings", "GET /health"]
    (tmp_path / "state" / "access.log").write_text("".join(json.dumps({"route": route}) + "\n" for route in routes))
    return Target("", tmp_path)


def answered(monkeypatch: pytest.MonkeyPatch, document: object) -> None:
    monkeypatch.setattr(actual, "find_function", lambda *_: lambda _question: document)


def test_the_hours_are_the_stacks_and_only_devices_requests_count(
    monkeypatch: pytest.MonkeyPatch, stack: Target
) -> None:
    answered(monkeypatch, statement({"north": 30, "south": 10, "idle": 0}))
    assert actual.read_actual(stack, NOW) == actual.Actual(2, 2, {"north": 30, "south": 10})


def test_a_stack_that_began_yesterday_is_billed_from_midnight(monkeypatch: pytest.MonkeyPatch, stack: Target) -> None:
    answered(monkeypatch, statement({"north": 30}))
    assert actual.read_actual(stack, NOW + timedelta(hours=13)).hours == 1


@pytest.mark.parametrize(("said", "why"), [(statement({}), "nothing was accepted today"), (None, "database does not")])
def test_a_day_that_cannot_be_billed_says_why(
    monkeypatch: pytest.MonkeyPatch, stack: Target, said: object, why: str
) -> None:
    answered(monkeypatch, said)
    with pytest.raises(CommandError, match=why):
        actual.read_actual(stack, NOW)
