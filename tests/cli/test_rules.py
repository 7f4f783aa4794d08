"""`sluice rules` and `sluice destinations`: what is asked, and what a person and a program see."""

import json

import pytest

from tests.cli.conftest import Run
from tests.support import admin_documents as documents
from tests.support.played_admin import PlayedAdmin

Shown = pytest.CaptureFixture[str]
SECRET = "sluice-local-destinations/on-call"


def test_rules_are_listed_with_what_decides(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    for _ in range(2):
        api.then(200, documents.page([documents.rule()]))
    assert run("rules", "list", "demo") == 0
    assert capsys.readouterr().out.splitlines() == [
        "rule id,state,kind,metric,device type,device id,open,clear,unit,severity,promise",
        'hot,active,above,bearing_temp,,,80,80,degC,warning,"0.5 for 100 device-days, of 3,500"',
    ]
    assert run("rules", "list", "demo", "--json") == 0
    (item,) = json.loads(capsys.readouterr().out)["items"]
    documents.check(item, "Rule")
    assert api.requests[0].path == "/v1/admin/fleets/demo/rules"


def test_destinations_are_listed_without_what_is_in_their_secrets(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    for _ in range(2):
        api.then(200, documents.page([documents.destination()]))
    assert run("destinations", "list") == 0
    assert capsys.readouterr().out.splitlines() == [
        "destination id,state,fleet id,kind,secret,least severity,after minutes",
        f"on-call,active,,slack,{SECRET},warning,0",
    ]
    assert run("destinations", "list", "--json") == 0
    (item,) = json.loads(capsys.readouterr().out)["items"]
    documents.check(item, "Destination")


def test_one_is_shown_with_all_its_fields(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, documents.rule()).then(200, documents.destination())
    assert run("rules", "show", "demo", "hot", "--json") == 0
    assert json.loads(capsys.readouterr().out) == documents.rule()
    assert run("destinations", "show", "on-call") == 0
    assert f"secret,{SECRET}\n" in capsys.readouterr().out
    assert [each.path for each in api.requests] == [
        "/v1/admin/fleets/demo/rules/hot",
        "/v1/admin/destinations/on-call",
    ]


def test_a_rule_is_created_with_what_is_given(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    given = ["--kind", "above", "--metric", "bearing_temp", "--open", "176", "--clear", "-3.5", "--unit", "degF"]
    api.then(201, documents.rule())
    assert (
        run("rules", "create", "demo", "hot", *given, "--device", "p 1", "--breaches", "2", "--of", "3", "--json") == 0
    )
    documents.check(json.loads(capsys.readouterr().out), "Rule")
    (request,) = api.requests
    asked = json.loads(request.body)
    assert (request.method, request.path) == ("POST", "/v1/admin/fleets/demo/rules")
    assert asked == {
        "rule_id": "hot",
        "kind": "above",
        "open": 176.0,
        "metric": "bearing_temp",
        "device_id": "p 1",
        "clear": -3.5,
        "unit": "degF",
        "breaches": 2,
        "of": 3,
    }
    documents.check(asked, "NewRule")


def test_a_destination_is_created_with_what_is_given(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(201, documents.destination())
    given = ["--kind", "slack", "--secret", SECRET, "--fleet", "demo", "--least-severity", "critical"]
    assert run("destinations", "create", "on-call", *given, "--after-minutes", "15", "--json") == 0
    documents.check(json.loads(capsys.readouterr().out), "Destination")
    (request,) = api.requests
    asked = json.loads(request.body)
    assert asked == {
        "destination_id": "on-call",
        "kind": "slack",
        "secret": SECRET,
        "fleet_id": "demo",
        "least_severity": "critical",
        "after_minutes": 15,
    }
    documents.check(asked, "NewDestination")


@pytest.mark.parametrize(
    "arguments",
    [
        ("rules", "create", "demo", "Hot", "--kind", "above", "--open", "1"),
        ("rules", "create", "demo", "hot", "--kind", "sideways", "--open", "1"),
        ("rules", "create", "demo", "hot", "--kind", "above", "--open", "nan"),
        ("rules", "create", "demo", "hot", "--kind", "above", "--open", "1", "--clear", "inf"),
        ("rules", "create", "demo", "hot", "--kind", "above", "--open", "1", "--of", "11"),
        ("rules", "create", "demo", "hot", "--kind", "above"),
        ("rules", "change", "demo", "hot"),
        ("rules", "archive", "demo", "hot", "--yes"),
        ("destinations", "create", "On", "--kind", "slack", "--secret", SECRET),
        ("destinations", "create", "on-call", "--kind", "slack", "--secret", SECRET, "--fleet", "Demo"),
        ("destinations", "create", "on-call", "--kind", "fax", "--secret", SECRET),
        ("destinations", "create", "on-call", "--kind", "slack", "--secret", SECRET, "--after-minutes", "-1"),
        ("destinations", "change", "on-call"),
        ("destinations", "archive", "on-call", "--yes"),
    ],
)
def test_what_the_stage_would_refuse_is_not_sent(api: PlayedAdmin, run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments) == 2
    assert api.requests == []


def test_a_change_names_the_version_that_was_read(api: PlayedAdmin, run: Run) -> None:
    api.then(200, documents.rule(version=3)).then(200, documents.rule(version=4))
    assert run("rules", "change", "demo", "hot", "--open", "90") == 0
    read, change = api.requests
    assert (read.method, change.method, change.path) == ("GET", "PATCH", "/v1/admin/fleets/demo/rules/hot")
    assert (change.headers["if-match"], json.loads(change.body)) == ('"3"', {"open": 90.0})
    documents.check(json.loads(change.body), "RuleChange")
    api.then(200, documents.destination(version=5))
    assert run("destinations", "change", "on-call", "--after-minutes", "0", "--if-version", "4") == 0
    assert (api.requests[2].headers["if-match"], json.loads(api.requests[2].body)) == ('"4"', {"after_minutes": 0})
    documents.check(json.loads(api.requests[2].body), "DestinationChange")


@pytest.mark.parametrize(
    ("arguments", "current", "thing"),
    [
        (("rules", "change", "demo", "hot", "--open", "9"), documents.rule(version=5), "rule"),
        (
            ("destinations", "change", "on-call", "--after-minutes", "9"),
            documents.destination(version=5),
            "destination",
        ),
    ],
)
def test_a_stale_version_says_what_changed(
    arguments: tuple[str, ...], current: dict[str, object], thing: str, api: PlayedAdmin, run: Run, capsys: Shown
) -> None:
    api.refuse(412, "version_changed", "It has version 5 now.", current=current)
    assert run(*arguments, "--if-version", "4") == 2
    assert f"the {thing} changed in the meantime and is now at version 5" in capsys.readouterr().err


def test_archiving_asks_unless_it_is_told_not_to(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, documents.rule(version=3))
    assert run("rules", "archive", "demo", "hot", "--reason", "too loud") == 2
    assert "repeat the command with --yes" in capsys.readouterr().err
    api.then(200, documents.rule(version=4, state="archived"))
    assert run("rules", "archive", "demo", "hot", "--reason", "too loud", "--yes", "--if-version", "3") == 0
    api.then(200, documents.destination(version=2, state="archived"))
    assert run("destinations", "archive", "on-call", "--reason", "left", "--yes", "--if-version", "1") == 0
    assert [(each.path, json.loads(each.body)) for each in api.requests[1:]] == [
        ("/v1/admin/fleets/demo/rules/hot/archive", {"reason": "too loud"}),
        ("/v1/admin/destinations/on-call/archive", {"reason": "left"}),
    ]


def test_a_dry_run_shows_what_would_change(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, documents.would("rule.change", "rule/demo/hot", open=(80.0, 90.5)))
    assert run("rules", "change", "demo", "hot", "--open", "90.5", "--if-version", "1", "--dry-run") == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["rule.change,rule/demo/hot,open,80,90.5"]
    assert api.requests[0].query == {"dry_run": "true"}


def test_an_unknown_rule_says_how_to_find_one(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.refuse(404, "unknown_rule", "Fleet 'demo' has no rule 'hut'.")
    assert run("rules", "show", "demo", "hut") == 2
    assert "sluice rules list" in capsys.readouterr().err


def test_a_report_compares_what_was_promised_with_what_opened(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    waiting = documents.promise(state="waiting", device_days=None, incidents_per_100_device_days=None)
    failed = waiting | {"state": "failed", "trouble": "Nothing is rolled yet."}
    items = [
        documents.report(),
        documents.report(rule_id="new", version=1, promise=waiting, incidents=0, incidents_per_100_device_days=None),
        documents.report(rule_id="bad", version=1, promise=failed),
        documents.report(rule_id="default-silence", version=1, promise=None, false_alarms=0),
    ]
    for item in items:
        documents.check(item, "RuleReport")
    for _ in range(2):
        api.then(200, documents.page(items))
    assert run("rules", "report", "demo") == 0
    time = documents.TIME
    assert capsys.readouterr().out.splitlines() == [
        "rule id,version,from,to,promised,promised days,opened,incidents,device days,false alarms",
        f"hot,2,{time},,0.5,3500,2.4896,3,120.5,1",
        f"new,1,{time},,waiting,,,0,120.5,1",
        f"bad,1,{time},,failed: Nothing is rolled yet.,,2.4896,3,120.5,1",
        f"default-silence,1,{time},,,,2.4896,3,120.5,0",
    ]
    assert run("rules", "report", "demo", "--json") == 0
    assert json.loads(capsys.readouterr().out)["items"] == items
    assert api.requests[0].path == "/v1/admin/fleets/demo/rule-report"


def test_a_promise_is_shown_with_its_rule(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    for promise in (documents.promise(), documents.promise(state="running"), None):
        api.then(200, documents.rule(promise=promise))
        assert run("rules", "show", "demo", "hot") == 0
    out = capsys.readouterr().out.splitlines()
    assert [line for line in out if line.startswith("promise,")] == [
        'promise,"0.5 for 100 device-days, of 3,500"',
        "promise,running",
        "promise,",
    ]
