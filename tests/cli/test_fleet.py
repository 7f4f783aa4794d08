"""`sluice fleet`: what is asked, and what a person and a program see."""

import json
from collections.abc import Callable

import pytest

from tests.cli.conftest import Run
from tests.support import admin_documents as documents
from tests.support.played_admin import PlayedAdmin

Shown = pytest.CaptureFixture[str]
DRY = documents.would("fleet.change", "fleet/demo", events_per_second=(1000.0, 250.5), home_region=(None, "eu-west-1"))


def test_fleets_are_listed_from_all_pages(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    first, second = documents.fleet("a"), documents.fleet("b", events_per_second=12_345_678.5)
    for _ in range(2):
        api.then(200, documents.page([first], "c")).then(200, documents.page([second]))
    assert run("fleet", "list") == 0
    assert capsys.readouterr().out.splitlines() == [
        "fleet id,state,events per second,rejects per second,home region,version",
        "a,active,1000,50,eu-central-1,1",
        "b,active,12345678.5,50,eu-central-1,1",
    ]
    assert run("fleet", "list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed == {"items": [first, second]}
    for item in listed["items"]:
        documents.check(item, "Fleet")


def test_a_fleet_is_shown_with_all_its_fields(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, documents.fleet()).then(200, documents.fleet())
    assert run("fleet", "show", "demo") == 0
    shown = capsys.readouterr().out
    assert "version,1\n" in shown
    assert "archived_at,\n" in shown
    assert run("fleet", "show", "demo", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == documents.fleet()
    documents.check(shown, "Fleet")
    assert api.requests[0].path == "/v1/admin/fleets/demo"


def test_a_fleet_is_created_with_what_is_given(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(201, documents.fleet())
    assert run("fleet", "create", "demo", "--events-per-second", "7", "--home-region", "eu-west-1", "--json") == 0
    documents.check(json.loads(capsys.readouterr().out), "Fleet")
    (request,) = api.requests
    asked = json.loads(request.body)
    assert (request.method, request.path, request.query) == ("POST", "/v1/admin/fleets", {})
    assert asked == {"fleet_id": "demo", "events_per_second": 7.0, "home_region": "eu-west-1"}
    documents.check(asked, "NewFleet")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--home-region", "mars"),
        ("--events-per-second", "0"),
        ("--rejects-per-second", "1e10"),
        ("--retention-days", "many"),
    ],
)
def test_what_the_stage_would_refuse_is_not_sent(api: PlayedAdmin, run: Run, arguments: tuple[str, str]) -> None:
    assert run("fleet", "create", "demo", *arguments) == 2
    assert api.requests == []


def test_a_change_names_the_version_that_was_read(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, documents.fleet(version=3)).then(200, documents.fleet(version=4, rejects_per_second=9.0))
    assert run("fleet", "change", "demo", "--rejects-per-second", "9") == 0
    assert "rejects_per_second,9\n" in capsys.readouterr().out
    read, change = api.requests
    assert (read.method, change.method, change.path) == ("GET", "PATCH", "/v1/admin/fleets/demo")
    assert change.headers["if-match"] == '"3"'
    assert json.loads(change.body) == {"rejects_per_second": 9.0}


def test_a_script_names_the_version_by_itself(api: PlayedAdmin, run: Run) -> None:
    api.then(200, documents.fleet(version=9))
    assert run("fleet", "change", "demo", "--rejects-per-second", "9", "--if-version", "8") == 0
    (change,) = api.requests
    assert change.headers["if-match"] == '"8"'


def test_a_stale_version_is_answered_with_the_current_one(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.refuse(412, "version_changed", "It has version 5 now.", current=documents.fleet(version=5))
    assert run("fleet", "change", "demo", "--rejects-per-second", "9", "--if-version", "4") == 2
    said = capsys.readouterr().err
    assert "is now at version 5 (fleet_id demo, state active, events_per_second 1000," in said
    assert "--if-version 5" in said


def test_a_change_without_a_field_asks_nothing(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    assert run("fleet", "change", "demo") == 2
    assert "say what to change, for example --events-per-second" in capsys.readouterr().err
    assert api.requests == []


def test_a_dry_run_shows_each_field_and_changes_nothing(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    given = ["fleet", "change", "demo", "--events-per-second", "250.5", "--if-version", "1", "--dry-run"]
    api.then(200, DRY).then(200, DRY)
    assert run(*given) == 0
    assert capsys.readouterr().out.splitlines() == [
        "would,target,field,before,after",
        "fleet.change,fleet/demo,events_per_second,1000,250.5",
        "fleet.change,fleet/demo,home_region,,eu-west-1",
    ]
    assert run(*given, "--json") == 0
    documents.check(json.loads(capsys.readouterr().out), "DryRun")
    assert [request.query for request in api.requests] == [{"dry_run": "true"}] * 2


def test_archiving_needs_a_reason(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    assert run("fleet", "archive", "demo", "--yes") == 2
    assert "--reason" in capsys.readouterr().err
    assert api.requests == []


def test_without_a_terminal_archiving_needs_yes(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, documents.fleet())
    assert run("fleet", "archive", "demo", "--reason", "sold") == 2
    assert "repeat the command with --yes" in capsys.readouterr().err
    assert [request.method for request in api.requests] == ["GET"]


@pytest.mark.parametrize(("typed", "status"), [("n\n", 2), ("\n", 2), ("y\n", 0)])
def test_at_a_terminal_archiving_asks_first(
    typed: str, status: int, api: PlayedAdmin, run: Run, typing: Callable[[str], None], capsys: Shown
) -> None:
    typing(typed)
    api.then(200, documents.fleet(version=3))
    if status == 0:
        api.then(200, documents.fleet(version=4, state="archived", revoked_keys=["k1", "k2"]))
    assert run("fleet", "archive", "demo", "--reason", "sold", "--json") == status
    said = capsys.readouterr()
    assert "Archive fleet demo, version 3, and revoke its keys? This cannot be undone." in said.err
    if status == 0:
        assert json.loads(said.out)["revoked_keys"] == ["k1", "k2"]
    else:
        assert said.out == ""
        assert "nothing was changed" in said.err


def test_archiving_with_yes_tells_which_keys_were_revoked(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    archived = documents.fleet(version=4, state="archived", revoked_keys=["k1", "k2"])
    api.then(200, documents.fleet(version=3)).then(200, archived)
    assert run("fleet", "archive", "demo", "--reason", "sold", "--yes") == 0
    assert "revoked_keys,k1 k2\n" in capsys.readouterr().out
    assert (api.requests[1].path, api.requests[1].headers["if-match"]) == ("/v1/admin/fleets/demo/archive", '"3"')
    assert json.loads(api.requests[1].body) == {"reason": "sold"}
    documents.check(archived, "Fleet")


@pytest.mark.parametrize("name", ["Demo", "../audit", "", "a/b"])
def test_what_is_no_fleets_id_is_not_asked_for(name: str, api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    assert run("fleet", "show", name) == 2
    assert "lower-case letters, digits and dashes" in capsys.readouterr().err
    assert api.requests == []
