"""What a restored database lacks, as a person reads it, and when the command fails."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from cli import restored
from cli.__main__ import main

POSITION = {"consumer": "aggregate", "accepted": 100, "covered": 100, "in_flight": 0, "under_way": 0, "missing": 0}
WHOLE: dict[str, Any] = {
    "publish": {"lost": {"keys": [], "rules": [], "destinations": []}},
    "checkpoint": {"signed": None, "unsigned": 0},
    "reconcile": {
        "day": "2026-03-01",
        "as_of": None,
        "fleets": [],
        "positions": [POSITION | {"lost": 0}],
        "missing": [],
    },
}
Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run the command on a stage whose functions answer as given."""

    def run(answers: dict[str, Any], *options: str) -> tuple[int, str, str]:
        monkeypatch.setattr(restored, "find_function", lambda _target, verb: lambda _question: answers[verb])
        status = main(["restored", *options])
        return (status, *capsys.readouterr())

    return run


def test_a_whole_database_is_called_so(ask: Ask) -> None:
    status, said, _ = ask(WHOLE)
    assert (status, said.splitlines()) == (
        0,
        [
            "keys: as published, as far as that shows",
            "rules: as published, as far as that shows",
            "destinations: as published, as far as that shows",
            "audit: matches its checkpoints",
            "events: aggregate has 100 of 100; 0 are in flight, 0 under way, 0 missing, 0 of them no longer in Kafka",
        ],
    )


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"publish": {"lost": {"keys": ["f/\x1bid (it has no row)"]}}}, "1 published ones are lost\n  f/\ufffdid ("),
        ({"checkpoint": {"altered": "entry 8: it is missing"}}, "audit: entry 8: it is missing"),
        (
            {"reconcile": WHOLE["reconcile"] | {"positions": [POSITION | {"missing": 7, "lost": 2}]}},
            "7 missing, 2 of them no longer in Kafka",
        ),
    ],
    ids=["published", "audit", "missing"],
)
def test_what_is_lacking_is_named_and_the_command_fails(ask: Ask, changed: dict[str, Any], says: str) -> None:
    status, said, complaint = ask(WHOLE | changed)
    assert (status, says in said) == (1, True)
    assert "docs/restore.md" in complaint
    status, said, _ = ask(WHOLE | changed, "--json")
    assert (status, set(json.loads(said))) == (1, {"control", "audit", "events"})


def test_what_is_under_way_in_a_stage_that_takes_events_is_not_lacking(ask: Ask) -> None:
    busy = {"positions": [POSITION | {"in_flight": 5, "under_way": 3, "lost": 0}]}
    status, said, complaint = ask(WHOLE | {"reconcile": WHOLE["reconcile"] | busy})
    assert (status, complaint, "5 are in flight, 3 under way, 0 missing" in said) == (0, "", True)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"publish": {"versions": {}}}, "deploy first"),
        ({"checkpoint": {}}, "could not verify"),
        ({"reconcile": {}}, "does not answer"),
    ],
)
def test_what_cannot_be_asked_is_no_proof(ask: Ask, changed: dict[str, Any], says: str) -> None:
    status, said, complaint = ask(WHOLE | changed)
    assert (status, said, says in complaint) == (1, "", True)
