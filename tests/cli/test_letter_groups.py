"""`sluice dead-letters` beyond its list: groups, why one failed, which fix would pass, and re-drives."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.support.played_admin import PlayedAdmin

Shown = pytest.CaptureFixture[str]
GROUP = "0123456789abcdef"
FIX = [{"verb": "rename", "path": "metrics.cpuTemp", "to": "metrics.cpu_temp"}]
MEASURED: dict[str, Any] = {
    "fix": FIX,
    "tried": 200,
    "passed": 150,
    "passed_before": 0,
    "share": 0.75,
    "complete": True,
}
RANGE = ("--from", "2026-11-20", "--to", "2026-11-21")
ASKED = {"from": "2026-11-20T00:00:00.000000Z", "to": "2026-11-21T00:00:00.000000Z"}
REDRIVE: dict[str, Any] = {
    "redrive_id": "redrive-7",
    "group_id": GROUP,
    "fleet_id": "demo",
    "consumer": "ingest",
    "state": "sending",
    "fix": FIX,
    **ASKED,
    "principal": "someone",
    "reason": "why",
    "objects": 1,
    "unreadable": 0,
    "passed_over": 0,
    "trouble": None,
    "claimed_at": "2026-11-21T09:31:00.000000Z",
    "sent_at": None,
    "ended_at": None,
}


def whole(state: str, accounted: int = 0, rejected: int = 0) -> dict[str, Any]:
    letters = {"sending": 0, "accepted": 0, "accounted": accounted, "rejected": rejected, "incomplete": 0}
    return REDRIVE | {"state": state, "letters": letters}


def test_groups_are_asked_for_and_shown_a_line_each(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    group: dict[str, Any] = dict.fromkeys(
        ("fleet_id", "consumer", "reason", "path", "rule", "contract", "firmware"), "x"
    )
    group |= {"group_id": GROUP, "state": "open", "letters": 10_000, "first": "then", "last": "now"}
    api.then(200, {"items": [group], "found": 2, "letters": 10_001, "complete": False, "next_cursor": None})
    assert run("dead-letters", "groups", "--fleet", "demo", *RANGE) == 0
    (request,) = api.requests
    assert (request.path, request.query) == ("/v1/admin/dead-letters/groups", ASKED | {"fleet_id": "demo"})
    told = capsys.readouterr()
    assert GROUP in told.out
    assert "10000" in told.out.replace(",", "")
    assert "ask for a shorter range" in told.err
    assert "1 of 2 groups" in told.err


def test_a_letter_is_explained_and_its_text_cannot_play_tricks(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    breach = {"path": "a", "rule": "type", "message": "a must be a number", "value": '"\x1b[2J"', "passes": "a number"}
    api.then(200, {"letter_id": "ab" * 32, "breaches": [breach]})
    assert run("dead-letters", "explain", "abababababab", *RANGE) == 0
    (request,) = api.requests
    assert request.path == "/v1/admin/dead-letters/letters/abababababab"
    out = capsys.readouterr().out
    assert "passes  a number" in out
    assert "\x1b" not in out


def test_a_proposal_is_shown_verb_by_verb_with_its_share(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, MEASURED)
    assert run("dead-letters", "propose", "--group", GROUP, *RANGE) == 0
    (request,) = api.requests
    assert request.path == f"/v1/admin/dead-letters/groups/{GROUP}/proposal"
    out = capsys.readouterr().out
    assert 'rename path="metrics.cpuTemp" to="metrics.cpu_temp"' in out
    assert "150 of 200 letters that were tried would pass (75.0%)" in out


def test_a_redrive_by_a_file_says_what_would_pass_and_asks_first(
    api: PlayedAdmin, run: Run, capsys: Shown, tmp_path: Path
) -> None:
    file = tmp_path / "fix.json"
    file.write_text(json.dumps(MEASURED))
    api.then(200, MEASURED | {"dry_run": True, "group_id": GROUP, "fleet_id": "demo"})
    again = ("dead-letters", "redrive", "--group", GROUP, "--fix", str(file), "--reason", "why", *RANGE)
    assert run(*again) == 2
    (request,) = api.requests
    assert (request.query, json.loads(request.body)) == (
        {"dry_run": "true"},
        {"group_id": GROUP, **ASKED, "fix": FIX, "reason": "why"},
    )
    told = capsys.readouterr()
    assert "150 of 200" in told.err
    assert "repeat the command with --yes" in told.err
    api.then(202, REDRIVE)
    assert run(*again, "--yes") == 0
    assert api.requests[-1].query == {}
    assert "redrives redrive-7 --watch" in capsys.readouterr().out


def test_a_redrive_by_the_proposal_asks_for_it_and_watches(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, MEASURED)
    api.then(202, REDRIVE)
    api.then(200, whole("sending"))
    api.then(200, whole("draining", rejected=3))
    api.then(200, whole("done", accounted=9, rejected=3))
    words = ("dead-letters", "redrive", "--group", GROUP, "--fix", "proposal", "--reason", "why", "--yes", "--watch")
    assert run(*words, *RANGE, "--json") == 0
    assert json.loads(api.requests[1].body)["fix"] == FIX
    assert json.loads(capsys.readouterr().out)["letters"]["accounted"] == 9


def test_without_a_proposal_nothing_is_redriven(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, MEASURED | {"fix": []})
    assert run("dead-letters", "redrive", "--group", GROUP, "--fix", "proposal", "--reason", "why", *RANGE) == 2
    assert "there is no proposal" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "complaint"), [("{", "cannot be read"), ("7", "no list"), ('{"fix": 7}', "no list")]
)
def test_a_file_that_holds_no_fix_is_refused(
    run: Run, capsys: Shown, tmp_path: Path, content: str, complaint: str
) -> None:
    file = tmp_path / "fix.json"
    file.write_text(content)
    assert run("dead-letters", "redrive", "--group", GROUP, "--fix", str(file), "--reason", "why", "--yes") == 2
    assert complaint in capsys.readouterr().err


def test_a_watched_redrive_that_ends_otherwise_returns_1(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, whole("failed"))
    assert run("dead-letters", "redrives", "redrive-7", "--watch") == 1
    assert "redrive-7 is failed" in capsys.readouterr().err


def test_redrives_are_listed_shown_and_cancelled(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, {"items": [REDRIVE], "next_cursor": None})
    assert run("dead-letters", "redrives") == 0
    api.then(200, whole("sending", accounted=4))
    assert run("dead-letters", "redrives", "redrive-7") == 0
    api.then(200, REDRIVE | {"state": "cancelled"})
    assert run("dead-letters", "cancel", "redrive-7", "--reason", "the wrong unit") == 0
    assert api.requests[-1].path == "/v1/admin/redrives/redrive-7/cancel"
    assert json.loads(api.requests[-1].body) == {"reason": "the wrong unit"}
    assert "events accepted" in capsys.readouterr().out
    assert run("dead-letters", "redrives", "--watch") == 2


def test_what_names_no_command_is_the_list(run: Run, capsys: Shown) -> None:
    assert run("dead-letters", "--by", "nonsense") == 2
    assert "Invalid value for '--by'" in capsys.readouterr().err
    assert run("dead-letters", "list", "xyz") == 2
    assert "is no dead letter's id" in capsys.readouterr().err
