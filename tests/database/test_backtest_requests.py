"""Requests about backtests, promises, the report and false alarms on a real database."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from sluice.core.backtest.results import Result
from sluice.core.detect.series_rules import SeriesRule
from tests.database.administering import NOW, SOMEONE, Admin, Got, Owner, acts, make_fleet
from tests.support import admin_documents as documents
from tests.support.incidents import add_incident

Ask = Callable[..., Got]
BEGIN, SHOW = "POST /v1/admin/fleets/{fleet}/backtests", "GET /v1/admin/backtests/{backtest}"
RULES, RULE = "GET /v1/admin/fleets/{fleet}/rules", "GET /v1/admin/fleets/{fleet}/rules/{rule}"
CREATE, CHANGE = "POST /v1/admin/fleets/{fleet}/rules", "PATCH /v1/admin/fleets/{fleet}/rules/{rule}"
ARCHIVE = "POST /v1/admin/fleets/{fleet}/rules/{rule}/archive"
REPORT, RESOLVE = "GET /v1/admin/fleets/{fleet}/rule-report", "POST /v1/admin/alerts/{incident}/resolve"
HOT = {"rule_id": "hot", "kind": "above", "metric": "cpu_temp", "open": 176, "unit": "degF", "breaches": 2, "of": 3}
DAY = timedelta(days=1)
RESULT = Result(
    since=NOW - 7 * DAY,
    until=NOW,
    devices=20,
    rule_devices=20,
    device_days=140,
    windows=201_600,
    incidents=7,
    exact=True,
    cut="",
    first_incidents=[],
)


@pytest.fixture
def owner(database: str) -> Iterator[Owner]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def admin(database: str) -> Iterator[Admin]:
    admin = Admin(database)
    make_fleet(admin)
    yield admin
    admin.database.close()


@pytest.fixture
def ask(admin: Admin) -> Ask:
    """Ask a route."""

    def send(
        route: str, body: object = None, query: str = "", headers: dict[str, str] | None = None, **path: str
    ) -> Got:
        event = {
            "routeKey": route,
            "rawQueryString": query,
            "pathParameters": path,
            "headers": headers or {},
            "requestContext": {
                "timeEpoch": admin.now.timestamp() * 1000,
                "requestId": "r-1",
                "authorizer": {"iam": {"userArn": SOMEONE}},
            },
            "body": "" if body is None else json.dumps(body),
        }
        answer = admin.administration.answer(event, 1)
        return Got(answer.status, dict(answer.headers), json.loads(answer.body))

    return send


def finish(owner: Owner, result: Result = RESULT) -> None:
    """Store a result, as the function does."""
    text = msgspec.json.encode(result).decode()
    owner.execute("UPDATE backtest SET state = 'done', ended_at = asked_at, result = %s", [text])


def count(owner: Owner) -> int:
    (found,) = owner.execute("SELECT count(*) FROM backtest").fetchone() or (0,)
    return int(found)


def test_a_rule_that_is_not_saved_is_tested_in_the_unit_of_its_series(ask: Ask, owner: Owner) -> None:
    asked = ask(BEGIN, {"rule": HOT, "days": 3}, fleet="f")
    assert asked.status == 202
    documents.check(asked.body, "Backtest")
    assert (asked.body["state"], asked.body["days"], asked.body["promised_version"]) == ("waiting", 3, None)
    assert (asked.body["rule"]["open"], asked.body["rule"]["kind"]) == (80.0, "above")
    (text,) = owner.execute("SELECT rule::text FROM backtest").fetchone() or ("",)
    assert msgspec.json.decode(text, type=SeriesRule).open == 80.0
    # It changes nothing: the audit has the fleet alone.
    assert [action for action, _ in acts(owner)] == ["fleet.create"]
    finish(owner)
    shown = ask(SHOW, backtest=asked.body["backtest_id"])
    documents.check(shown.body, "Backtest")
    documents.check(shown.body["result"], "BacktestResult")
    assert (shown.body["state"], shown.body["result"]["incidents_per_100_device_days"]) == ("done", 5.0)


def test_saved_rules_and_defaults_are_named_by_their_ids(ask: Ask) -> None:
    assert ask(CREATE, HOT, fleet="f").status == 201
    assert ask(BEGIN, {"rule": "hot"}, fleet="f").body["rule"]["version"] == 1
    for name, metric in (("default-silence", ""), ("default-range-cpu-temp", "cpu_temp")):
        found = ask(BEGIN, {"rule": name}, fleet="f").body
        assert (found["rule_id"], found["rule"]["metric"], found["days"]) == (name, metric, 7)


def test_a_repeated_request_asks_once(ask: Ask, owner: Owner) -> None:
    key = {"idempotency-key": "k-1"}
    first, again = (ask(BEGIN, {"rule": "default-silence"}, fleet="f", headers=key) for _ in range(2))
    assert (first.status, first.body) == (again.status, again.body)
    assert count(owner) == 1
    other = ask(BEGIN, {"rule": "default-silence", "days": 2}, fleet="f", headers=key)
    assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "invalid_body"),
        ({"rule": "hot", "days": 0}, 400, "invalid_body"),
        ({"rule": "hot", "days": 31}, 400, "invalid_body"),
        ({"rule": "hot", "hours": 3}, 400, "invalid_body"),
        ({"rule": "none"}, 404, "unknown_rule"),
        ({"rule": "default-oracle"}, 404, "unknown_rule"),
        ({"rule": HOT | {"metric": "mood"}}, 400, "unknown_metric"),
        ({"rule": HOT | {"unit": "V"}}, 400, "unit_mismatch"),
        ({"rule": HOT | {"clear": 200}}, 400, "invalid_rule"),
        ({"rule": {"rule_id": "hot"}}, 400, "invalid_body"),
    ],
)
def test_what_cannot_be_tested_is_refused(ask: Ask, owner: Owner, body: dict[str, Any], status: int, code: str) -> None:
    got = ask(BEGIN, body, fleet="f")
    assert (got.status, got.body["code"]) == (status, code)
    assert count(owner) == 0


def test_of_a_fleet_few_wait_at_once(ask: Ask, owner: Owner) -> None:
    for _ in range(5):
        assert ask(BEGIN, {"rule": "default-silence"}, fleet="f").status == 202
    got = ask(BEGIN, {"rule": "default-silence"}, fleet="f")
    assert (got.status, got.body["code"]) == (409, "too_many_backtests")
    # Promises are no one's wait, and what is over waits for nothing.
    assert ask(CREATE, HOT, fleet="f").status == 201
    finish(owner)
    assert ask(BEGIN, {"rule": "default-silence"}, fleet="f").status == 202


def test_unknown_things_are_refused(ask: Ask) -> None:
    assert ask(BEGIN, {"rule": "default-silence"}, fleet="none").body["code"] == "unknown_fleet"
    assert ask(BEGIN, {"rule": "default-silence"}, "dry_run=true", fleet="f").body["code"] == "unknown_parameter"
    assert ask(REPORT, fleet="none").body["code"] == "unknown_fleet"
    for name in ("backtest-1", "backtest-", "backtest-x", "1", "backtest-9999999999", "a\0b"):
        got = ask(SHOW, backtest=name)
        assert (got.status, got.body["code"]) == (404, "unknown_backtest"), name


def test_saving_a_version_asks_for_its_promise_in_the_same_transaction(ask: Ask, owner: Owner) -> None:
    assert ask(CREATE, HOT, "dry_run=true", fleet="f").status == 200
    assert count(owner) == 0
    made = ask(CREATE, HOT, fleet="f")
    documents.check(made.body, "Rule")
    waiting = ask(RULE, fleet="f", rule="hot").body
    documents.check(waiting, "Rule")
    assert (waiting["promise"]["state"], waiting["promise"]["incidents"]) == ("waiting", None)
    finish(owner)
    promised = ask(RULE, fleet="f", rule="hot").body["promise"]
    assert (promised["incidents_per_100_device_days"], promised["device_days"]) == (5.0, 140)
    assert ask(RULES, fleet="f").body["items"][0]["promise"] == promised
    version = {"if-match": '"1"'}
    # A change that changes nothing saves no version; one that changes something promises anew.
    assert ask(CHANGE, {"severity": "warning"}, fleet="f", rule="hot", headers=version).body["version"] == 1
    assert count(owner) == 1
    assert ask(CHANGE, {"open": 90}, fleet="f", rule="hot", headers=version).body["version"] == 2
    assert ask(RULE, fleet="f", rule="hot").body["promise"]["state"] == "waiting"
    archived = ask(ARCHIVE, {"reason": "gone"}, fleet="f", rule="hot", headers={"if-match": '"2"'})
    assert archived.body["version"] == 3
    assert ask(RULE, fleet="f", rule="hot").body["promise"]["state"] == "failed"
    assert count(owner) == 2


def test_promises_that_wait_end_when_their_rule_is_changed_or_archived(ask: Ask, owner: Owner) -> None:
    ask(CREATE, HOT, fleet="f")
    ask(BEGIN, {"rule": "hot"}, fleet="f")
    ask(CREATE, HOT | {"rule_id": "other", "kind": "below", "open": 32}, fleet="f")
    ask(CHANGE, {"open": 90}, fleet="f", rule="hot", headers={"if-match": '"1"'})
    rows = "SELECT rule_id, promised_version, state, trouble FROM backtest ORDER BY backtest_number"
    first, asked, other, second = owner.execute(rows).fetchall()
    assert first == ("hot", 1, "failed", "The rule was changed before its turn.")
    assert (asked, other) == (("hot", None, "waiting", ""), ("other", 1, "waiting", ""))
    assert second == ("hot", 2, "waiting", "")
    owner.execute("UPDATE backtest SET state = 'running' WHERE promised_version = 1 AND rule_id = 'other'")
    ask(ARCHIVE, {"reason": "gone"}, fleet="f", rule="hot", headers={"if-match": '"2"'})
    assert owner.execute(rows).fetchall()[3] == ("hot", 2, "failed", "The rule was archived before its turn.")
    ask(ARCHIVE, {"reason": "gone"}, fleet="f", rule="other", headers={"if-match": '"1"'})
    assert owner.execute(rows).fetchall()[2][2] == "running"


def test_a_rule_of_an_earlier_release_has_no_promise(ask: Ask, owner: Owner) -> None:
    ask(CREATE, HOT, fleet="f")
    owner.execute("DELETE FROM backtest")
    found = ask(RULE, fleet="f", rule="hot").body
    assert found["promise"] is None
    documents.check(found, "Rule")


def add_days(owner: Owner, device: str, days: list[int]) -> None:
    """Let a device send on some days before today, and today if 0 is among them."""
    midnight = NOW.replace(hour=0)
    owner.execute("INSERT INTO metric (name, unit) VALUES ('cpu_temp', 'degC') ON CONFLICT DO NOTHING")
    owner.execute("INSERT INTO entity (fleet_id, device_id, shard) VALUES ('f', %s, 0)", [device])
    owner.execute("SELECT ensure_partitions('rollup_1m', %s, %s)", [midnight, NOW])
    for day in days:
        store, window = ("rollup_1d", midnight - day * DAY) if day else ("rollup_1m", midnight + timedelta(hours=3))
        owner.execute(
            f"INSERT INTO {store} SELECT entity_key, %s, ARRAY[metric_key], '{{1}}', '{{1}}', '{{0}}', '{{1}}', '{{1}}'"
            ", '{1}', '{1}', '{1}', '{}', '{}' FROM entity, metric WHERE device_id = %s",
            [window, device],
        )


def test_the_report_says_what_became_of_each_version(admin: Admin, ask: Ask, owner: Owner) -> None:
    add_days(owner, "a", [0, 1, 2, 3, 4])
    add_days(owner, "b", [0, 2, 4])
    admin.now = NOW - 3 * DAY
    ask(CREATE, HOT, fleet="f")
    finish(owner)
    admin.now = NOW - DAY
    ask(CHANGE, {"open": 90}, fleet="f", rule="hot", headers={"if-match": '"1"'})
    for days, marked in ((4.0, False), (2.5, True), (2.0, False), (0.5, True), (0.25, True)):
        add_incident(owner, "f", ["a"], rule_id="hot", opened_at=NOW - days * DAY, false_alarm=marked)
    for name, metric in (("default-silence", ""), ("default-range-cpu-temp", "cpu_temp")):
        add_incident(owner, "f", ["a"], rule_id=name, metric=metric, opened_at=NOW - DAY)
    admin.now = NOW
    items = ask(REPORT, fleet="f").body["items"]
    for item in items:
        documents.check(item, "RuleReport")
    first, second, default, ranged = items
    # From noon three days ago to noon yesterday: half a day of each end, and the whole day between.
    assert (first["version"], first["incidents"], first["false_alarms"]) == (1, 2, 1)
    assert first["device_days"] == 0.5 + 2 + 0.5
    assert (first["promise"]["incidents_per_100_device_days"], first["to"]) == (5.0, second["from"])
    # And then half of yesterday, and half of today, which is over.
    assert (second["version"], second["incidents"], second["false_alarms"], second["device_days"]) == (2, 2, 2, 0.5 + 1)
    assert (second["promise"]["state"], second["to"]) == ("waiting", None)
    assert (default["rule_id"], default["promise"], default["incidents"]) == ("default-silence", None, 1)
    assert ranged["rule_id"] == "default-range-cpu-temp"
    assert default["device_days"] == ranged["device_days"] == 1 + 2 + 1 + 2 + 1


def test_the_report_counts_the_devices_that_have_the_type_of_a_rule(admin: Admin, ask: Ask, owner: Owner) -> None:
    add_days(owner, "a", [1, 2, 3, 4])
    add_days(owner, "b", [2, 4])
    add_days(owner, "c", [3])
    owner.execute("UPDATE fleet SET device_type = 'press' WHERE fleet_id = 'f'")
    owner.execute("INSERT INTO device_type VALUES ('f', 'b', 'gauge'), ('f', 'c', 'gauge'), ('other', 'a', 'gauge')")
    admin.now = NOW - 10 * DAY
    for name, device_type in (("all", None), ("gauges", "gauge"), ("none", "motor"), ("presses", "press")):
        ask(CREATE, HOT | {"rule_id": name, "device_type": device_type}, fleet="f")
    ask(CREATE, HOT | {"rule_id": "one", "device_id": "b"}, fleet="f")
    add_incident(owner, "f", ["b"], rule_id="gauges", opened_at=NOW - 2 * DAY)
    admin.now = NOW
    found = {item["rule_id"]: item for item in ask(REPORT, fleet="f").body["items"]}
    days = {name: item["device_days"] for name, item in found.items()}
    assert days == {"all": 7, "gauges": 3, "none": 0, "one": 2, "presses": 4}
    assert found["gauges"]["incidents_per_100_device_days"] == round(100 / 3, 4)
    assert found["none"]["incidents_per_100_device_days"] is None


def test_a_promise_says_why_its_backtest_failed(admin: Admin, ask: Ask, owner: Owner) -> None:
    admin.now = NOW - DAY
    ask(CREATE, HOT, fleet="f")
    admin.now = NOW
    owner.execute("UPDATE backtest SET state = 'failed', ended_at = now(), trouble = 'This release cannot read it.'")
    (item,) = ask(REPORT, fleet="f").body["items"]
    documents.check(item, "RuleReport")
    assert (item["promise"]["state"], item["promise"]["trouble"]) == ("failed", "This release cannot read it.")


def test_an_incident_is_marked_as_a_false_alarm_once_also_after_its_end(ask: Ask, owner: Owner) -> None:
    still, over = (add_incident(owner, "f", ["a"], **given) for given in ({}, {"resolved_at": NOW}))
    ended = ask(RESOLVE, {"reason": "a lid was open", "false_alarm": True}, incident=still)
    documents.check(ended.body, "Incident")
    assert (ended.body["state"], ended.body["false_alarm"]) == ("resolved", True)
    marked = ask(RESOLVE, {"reason": "a lid was open", "false_alarm": True}, incident=over)
    assert (marked.body["resolution"], marked.body["false_alarm"]) == ("clear", True)
    for body in ({"reason": "again", "false_alarm": True}, {"reason": "again"}):
        got = ask(RESOLVE, body, incident=over)
        assert (got.status, got.body["code"]) == (409, "incident_resolved")
    assert ask(RESOLVE, {"false_alarm": True}, incident=over).body["code"] == "reason_required"
    changes = [json.loads(text)["changes"] for (text,) in owner.execute("SELECT entry FROM audit ORDER BY number")][1:]
    assert [sorted(each) for each in changes] == [["false_alarm", "state"], ["false_alarm"]]
