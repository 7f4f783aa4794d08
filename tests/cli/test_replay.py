"""`sluice replay`: what is asked, what a person reads before a plan is applied, and how far a replay is."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from cli.replay import command
from cli.replay.cost import CHUNK_BYTES, estimate
from cli.replay.progress import STATES, describe_progress, measure
from sluice.core.replay.plan import Expected, Files, Plan, Span, describe, seal
from tests.cli.conftest import Run
from tests.support.played_admin import PlayedAdmin

Shown = pytest.CaptureFixture[str]
HOURS = Span("2026-11-20T08:00:00.000000Z", "2026-11-20T09:00:00.000000Z")
PLAN: dict[str, Any] = json.loads(
    json.dumps(
        describe(
            seal(
                Plan(
                    version=1,
                    stage="local",
                    region="eu-central-1",
                    made_at="2026-11-20T09:30:00.000000Z",
                    fleet_id="demo",
                    device_ids=None,
                    include_late=False,
                    reprocess=False,
                    asked=HOURS,
                    hours=HOURS,
                    widened=(),
                    files=Files(3, 9_000_000, "d"),
                    expected=Expected(12_345, 7, 8, 9, 130),
                    warnings=("raw lacks 3 accepted events",),
                )
            )
        )
    )
)
REPLAY_ID = f"replay-{PLAN['hash'][:16]}"
FOUND: dict[str, Any] = {
    "replay_id": REPLAY_ID,
    "state": "resending",
    "fleet_id": "demo",
    "from": HOURS.from_,
    "to": HOURS.to,
    "claimed_at": "2026-11-20T09:31:00.000000Z",
    "ended_at": None,
    "reason": None,
    "principal": "someone",
    "execution": "arn:of:an:execution",
    "chunks": {"sent": 1, "all": 4},
    "units": {"swapped": 0, "all": None},
    "counts": {},
    "begun_at": {"gathering": "2026-11-20T09:31:00.000000Z", "resending": "2026-11-20T09:32:00.000000Z"},
    "plan": PLAN,
}
ASKED = ("replay", "plan", "--fleet", "demo", "--from", "2026-11-20T08:00:00Z", "--to", "2026-11-20T09:00:00Z")


def found(**changed: Any) -> dict[str, Any]:
    return copy.deepcopy(FOUND) | changed


@pytest.fixture
def plan_file(tmp_path: Path) -> str:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(PLAN))
    return str(file)


def test_a_plan_is_shown_with_its_dollars_and_written_to_a_file(
    api: PlayedAdmin, run: Run, capsys: Shown, tmp_path: Path
) -> None:
    api.then(200, PLAN)
    out = tmp_path / "made.json"
    assert run(*ASKED, "--device", "press-1", "--device", "press-2", "--include-late", "--out", str(out)) == 0
    (request,) = api.requests
    assert (request.method, request.path) == ("POST", "/v1/admin/replays/plan")
    assert json.loads(request.body) == {
        "fleet_id": "demo",
        "from": "2026-11-20T08:00:00+00:00",
        "to": "2026-11-20T09:00:00+00:00",
        "device_ids": ["press-1", "press-2"],
        "include_late": True,
        "reprocess": False,
    }
    shown = capsys.readouterr().out
    for said in (REPLAY_ID, "12,345", "130", "3 with 9.0 MB", "raw lacks 3 accepted events", f"{estimate(PLAN):.4f}"):
        assert said in shown
    assert f"sluice replay apply {out}" in shown
    assert json.loads(out.read_text()) == PLAN


def test_without_a_name_a_plan_is_written_to_a_file_named_by_its_replay(
    api: PlayedAdmin, run: Run, capsys: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.then(200, PLAN)
    monkeypatch.chdir(tmp_path)
    assert run(*ASKED, "--json") == 0
    assert json.loads(capsys.readouterr().out) == PLAN
    assert json.loads((tmp_path / f"{REPLAY_ID}.json").read_text()) == PLAN
    assert json.loads(api.requests[0].body)["device_ids"] is None


@pytest.mark.parametrize("moment", ["yesterday", "2026-11-20T08:00:00", "2026-11-31"])
def test_a_time_that_is_none_or_names_no_zone_is_not_sent(api: PlayedAdmin, run: Run, moment: str) -> None:
    assert run(*ASKED, "--from", moment) == 2
    assert api.requests == []


def test_a_plan_that_is_refused_is_not_written(
    api: PlayedAdmin, run: Run, capsys: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    api.refuse(409, "beyond_samples", "Samples are kept from later on.")
    assert run(*ASKED) != 0
    assert "Samples are kept from later on." in capsys.readouterr().err
    assert not list(tmp_path.glob("replay-*.json"))


def test_a_plan_is_applied_as_it_is_in_its_file_and_its_replay_is_known_then(
    api: PlayedAdmin, run: Run, capsys: Shown, plan_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "BEGIN_SECONDS", 0.0)
    api.then(202, {"replay_id": REPLAY_ID, "already_applied": False, "execution": "arn"})
    api.then(404, {"code": "unknown_replay", "detail": "There is no such replay."})
    api.then(200, found(state="gathering"))
    assert run("replay", "apply", plan_file, "--yes") == 0
    request, *later = api.requests
    assert [(one.method, one.path) for one in later] == [("GET", f"/v1/admin/replays/{REPLAY_ID}")] * 2
    assert (request.method, request.path) == ("POST", "/v1/admin/replays")
    assert json.loads(request.body) == {"plan": PLAN}
    assert f"sluice replay watch {REPLAY_ID}" in capsys.readouterr().out


def test_a_plan_is_shown_before_a_person_is_asked_and_a_no_sends_nothing(
    api: PlayedAdmin, run: Run, capsys: Shown, plan_file: str, typing: Any
) -> None:
    typing("n\n")
    assert run("replay", "apply", plan_file) == 2
    assert "12,345" in capsys.readouterr().out
    assert run("replay", "apply", plan_file) == 2
    assert api.requests == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '"plan"', json.dumps(PLAN | {"expected": {}})])
def test_a_file_that_is_no_plan_is_not_sent(api: PlayedAdmin, run: Run, tmp_path: Path, text: str) -> None:
    file = tmp_path / "other.json"
    file.write_text(text)
    assert run("replay", "apply", str(file), "--yes") == 2
    assert run("replay", "apply", str(tmp_path / "missing.json"), "--yes") == 2
    assert api.requests == []


def test_replays_are_listed_and_shown(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, {"items": [FOUND], "next_cursor": None}).then(200, FOUND).then(200, FOUND)
    assert run("replay", "list") == 0
    assert f"{REPLAY_ID},resending,demo" in capsys.readouterr().out
    assert run("replay", "show", REPLAY_ID) == 0
    shown = capsys.readouterr().out
    assert "chunks sent,1 of 4\n" in shown
    assert "hours of a shard swapped,0\n" in shown
    assert run("replay", "show", REPLAY_ID, "--json") == 0
    assert json.loads(capsys.readouterr().out) == FOUND
    assert api.requests[1].path == f"/v1/admin/replays/{REPLAY_ID}"


def test_a_replay_is_watched_until_it_is_done(api: PlayedAdmin, run: Run, capsys: Shown, waits: list[float]) -> None:
    for state in ("gathering", "resending", "resending", "swapping", "done"):
        api.then(200, found(state=state))
    assert run("replay", "watch", REPLAY_ID) == 0
    lines = capsys.readouterr().out.splitlines()
    # A line that says nothing new is not repeated.
    assert [line.partition("] ")[2].partition(" ")[0].rstrip(",") for line in lines] == [
        "gathering",
        "resending",
        "swapping",
        "done",
    ]
    assert len(waits) == 4


@pytest.mark.parametrize("state", ["cancelled", "failed"])
def test_a_replay_that_ends_otherwise_is_a_failure_with_its_reason(
    api: PlayedAdmin, run: Run, capsys: Shown, state: str
) -> None:
    api.then(200, found(state=state, reason="a reason"))
    assert run("replay", "watch", REPLAY_ID, "--json") == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["state"] == state
    assert "a reason" in said.err


def test_a_replay_is_cancelled_with_a_reason(api: PlayedAdmin, run: Run) -> None:
    api.then(202, found(state="cancelling", reason="a mistake"))
    assert run("replay", "cancel", REPLAY_ID, "--reason", "a mistake") == 0
    (request,) = api.requests
    assert (request.method, request.path) == ("POST", f"/v1/admin/replays/{REPLAY_ID}/cancel")
    assert json.loads(request.body) == {"reason": "a mistake"}
    assert run("replay", "cancel", REPLAY_ID) == 2


def test_a_replay_is_resumed_with_its_own_plan(api: PlayedAdmin, run: Run) -> None:
    api.then(200, found(state="failed"))
    api.then(202, {"replay_id": REPLAY_ID, "already_applied": False, "execution": "arn"})
    api.then(200, found(state="gathering"))
    assert run("replay", "resume", REPLAY_ID) == 0
    assert json.loads(api.requests[1].body) == {"plan": PLAN}


@pytest.mark.parametrize(
    ("changed", "share", "at"),
    [
        ({"state": "gathering"}, 0.0, "gathering"),
        (
            {"state": "gathering", "counts": {"raw_waits_for": 1234}},
            0.0,
            "gathering raw lacks 1,234 events, aggregate 0",
        ),
        ({"state": "resending"}, 0.25, "resending 1 of 4 chunks"),
        ({"state": "resending", "chunks": {"sent": 0, "all": None}}, 0.2, "resending"),
        ({"state": "draining", "counts": {"sent": 100, "drain_waits_for": 25}}, 0.55, "draining 25 events left"),
        ({"state": "draining", "counts": {"sent": 100, "drain_waits_for": 900}}, 0.4, "draining 900 events left"),
        ({"state": "draining"}, 0.6, "draining 0 events left"),
        ({"state": "swapping", "units": {"swapped": 3, "all": 4}}, 0.75, "swapping 3 of 4 hours of a shard"),
        ({"state": "swapping"}, 0.6, "swapping"),
        ({"state": "verifying"}, 0.8, "verifying"),
        ({"state": "cancelling"}, 0.0, "cancelling"),
        ({"state": "done"}, 1.0, "done"),
        ({"state": "failed"}, 1.0, "failed"),
    ],
)
def test_how_far_a_replay_is(changed: dict[str, Any], share: float, at: str) -> None:
    done, told = measure(found(**changed))
    assert done == pytest.approx(share)
    assert told == at


def test_a_replay_never_goes_back() -> None:
    steps: list[dict[str, Any]] = [
        {"state": "gathering"},
        *({"state": "resending", "chunks": {"sent": sent, "all": 4}} for sent in range(5)),
        *({"state": "draining", "counts": {"sent": 9, "drain_waits_for": left}} for left in (9, 4, 0)),
        *({"state": "swapping", "units": {"swapped": done, "all": 3}} for done in range(4)),
        {"state": "verifying"},
        {"state": "done"},
    ]
    shares = [measure(found(**step))[0] for step in steps]
    assert shares == sorted(shares)
    assert {step["state"] for step in steps} == {*STATES, "done"}


def test_progress_names_each_state_that_has_begun_in_order() -> None:
    described = describe_progress(found())
    assert [name for name in described if name.endswith(" since")] == ["gathering since", "resending since"]


def test_dollars_grow_with_events_files_and_chunks_and_are_few() -> None:
    def changed(events: int = 12_345, files: int = 3, size: int = 9_000_000) -> float:
        expected, listed = PLAN["expected"] | {"events": events}, {"count": files, "bytes": size}
        return estimate(PLAN | {"expected": expected, "files": listed})

    assert changed() == estimate(PLAN)
    assert changed(events=10**6) > changed()
    assert changed(files=10**4) > changed()
    assert changed(size=100 * CHUNK_BYTES) > changed()
    # A cent, and not a month's bill: a unit that was taken for another would show.
    assert 0.0005 < changed() < 0.05
    assert changed(events=20_000_000, files=2_000, size=3 * 10**9) < 100
