"""The admins' routes of rules and destinations on a real database."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg
import pytest

from sluice.core.control import destinations as core_destinations
from sluice.core.control import rules as core_rules
from sluice.core.control.verification import verify
from sluice.core.detect.series_rules import RULES
from sluice.core.notify.destinations import DESTINATIONS
from tests.database.administering import FLEETS, NOW, Admin, Got, Owner, acts, entries, make_fleet

OF_F = f"{FLEETS}/f/rules"
PLACES = "/v1/admin/destinations"
HOT = {"rule_id": "hot", "kind": "above", "metric": "bearing_temp", "open": 176, "unit": "degF", "breaches": 2, "of": 3}
ON_CALL = {"destination_id": "on-call", "kind": "pagerduty", "secret": "sluice-test-destinations/on-call"}


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


def make_rule(admin: Admin, fleet: str = "f", **changed: Any) -> Got:
    wanted = {name: value for name, value in (HOT | changed).items() if value is not None}
    return admin("POST", f"{FLEETS}/{fleet}/rules", wanted)


def make_destination(admin: Admin, **changed: Any) -> Got:
    return admin("POST", PLACES, ON_CALL | changed)


def test_a_rule_is_made_changed_and_archived_with_an_entry_for_each(admin: Admin, owner: Owner) -> None:
    made = make_rule(admin)
    assert (made.status, made.headers["etag"], made.body["open"], made.body["unit"]) == (201, '"1"', 80.0, "degC")
    (published,) = admin.published[RULES]
    assert (published.rule_id, published.open, published.breaches, published.of) == ("hot", 80.0, 2, 3)
    changed = admin("PATCH", f"{OF_F}/hot", {"open": 85, "severity": "critical"}, if_match='"1"')
    assert (changed.status, changed.headers["etag"], changed.body["clear"]) == (200, '"2"', 80.0)
    assert admin.published[RULES][0].version == 2
    archived = admin("POST", f"{OF_F}/hot/archive", {"reason": "too loud"}, if_match='"2"')
    assert (archived.status, archived.body["state"], archived.body["version"]) == (200, "archived", 3)
    shown = admin("GET", f"{OF_F}/hot").body
    assert shown == archived.body | {"promise": shown["promise"]}
    assert shown["promise"]["state"] == "failed"
    assert admin("GET", OF_F).body["items"] == [shown]
    assert admin.published[RULES] == ()
    assert acts(owner)[1:] == [(f"rule.{verb}", "rule/f/hot") for verb in ("create", "change", "archive")]
    last = json.loads(entries(owner)[-1].text)
    assert (last["reason"], last["changes"]["state"]) == ("too loud", {"before": "active", "after": "archived"})
    assert verify(entries(owner), []) == 4


def test_a_destination_is_made_changed_and_archived_with_an_entry_for_each(admin: Admin, owner: Owner) -> None:
    made = make_destination(admin, fleet_id="f")
    assert (made.status, made.headers["etag"], made.body["fleet_id"]) == (201, '"1"', "f")
    (published,) = admin.published[DESTINATIONS]
    assert (published.destination_id, published.secret, published.version) == ("on-call", ON_CALL["secret"], 1)
    changed = admin("PATCH", f"{PLACES}/on-call", {"after_minutes": 30}, if_match='"1"')
    assert (changed.status, changed.body["after_minutes"], changed.body["version"]) == (200, 30, 2)
    archived = admin("POST", f"{PLACES}/on-call/archive", {"reason": "left"}, if_match='"2"')
    assert (archived.status, archived.body["state"]) == (200, "archived")
    assert admin("GET", PLACES).body["items"] == [admin("GET", f"{PLACES}/on-call").body] == [archived.body]
    assert admin.published[DESTINATIONS] == ()
    target = "destination/on-call"
    assert acts(owner)[1:] == [(f"destination.{verb}", target) for verb in ("create", "change", "archive")]


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"),
    [
        ("GET", f"{FLEETS}/none/rules", None, {}, 404, "unknown_fleet"),
        ("GET", f"{OF_F}/none", None, {}, 404, "unknown_rule"),
        ("GET", f"{OF_F}/a\0b", None, {}, 404, "unknown_rule"),
        ("GET", f"{OF_F}?nonsense=1", None, {}, 400, "unknown_parameter"),
        ("GET", f"{OF_F}/hot?nonsense=1", None, {}, 400, "unknown_parameter"),
        ("POST", f"{FLEETS}/none/rules", HOT, {}, 404, "unknown_fleet"),
        ("POST", OF_F, HOT | {"unit": "V"}, {}, 400, "unit_mismatch"),
        ("POST", OF_F, HOT | {"metric": "heat"}, {}, 400, "unknown_metric"),
        ("POST", OF_F, HOT | {"clear": 180}, {}, 400, "invalid_rule"),
        ("POST", OF_F, HOT | {"threshold": 180}, {}, 400, "invalid_body"),
        ("POST", OF_F, HOT, {}, 409, "rule_exists"),
        ("POST", OF_F, HOT | {"rule_id": "hotter"}, {}, 409, "rule_twice"),
        ("PATCH", f"{OF_F}/hot", {"open": 1}, {}, 428, "version_required"),
        ("PATCH", f"{OF_F}/hot", {"open": 1}, {"if_match": '"7"'}, 412, "version_changed"),
        ("PATCH", f"{OF_F}/hot", {"metric": "humidity"}, {"if_match": '"1"'}, 400, "invalid_body"),
        ("PATCH", f"{OF_F}/none", {"open": 1}, {"if_match": '"1"'}, 404, "unknown_rule"),
        ("POST", f"{OF_F}/hot/archive", {}, {"if_match": '"1"'}, 400, "reason_required"),
        ("GET", f"{PLACES}/none", None, {}, 404, "unknown_destination"),
        ("GET", f"{PLACES}/a\0b", None, {}, 404, "unknown_destination"),
        ("POST", PLACES, ON_CALL, {}, 409, "destination_exists"),
        ("POST", PLACES, ON_CALL | {"destination_id": "b", "fleet_id": "none"}, {}, 404, "unknown_fleet"),
        ("POST", PLACES, ON_CALL | {"destination_id": "b", "secret": "elsewhere"}, {}, 400, "invalid_destination"),
        ("POST", PLACES, ON_CALL | {"destination_id": "b", "kind": "fax"}, {}, 400, "invalid_body"),
        ("PATCH", f"{PLACES}/on-call", {"after_minutes": 1}, {}, 428, "version_required"),
        ("PATCH", f"{PLACES}/on-call", {"after_minutes": 1}, {"if_match": '"7"'}, 412, "version_changed"),
        ("POST", f"{PLACES}/on-call/archive", {}, {"if_match": '"1"'}, 400, "reason_required"),
    ],
)
def test_what_is_refused_leaves_no_trace(
    admin: Admin, owner: Owner, method: str, path: str, body: Any, headers: dict[str, str], status: int, code: str
) -> None:
    make_rule(admin)
    make_destination(admin)
    before = len(acts(owner))
    got = admin(method, path, body, **headers)
    assert (got.status, got.body["code"]) == (status, code)
    assert len(acts(owner)) == before


def test_a_dry_run_says_what_would_change_and_refuses_what_would_be_refused(admin: Admin, owner: Owner) -> None:
    would = admin("POST", f"{OF_F}?dry_run=true", HOT)
    assert (would.status, would.body["would"][0]["action"]) == (200, "rule.create")
    assert would.body["would"][0]["changes"]["open"] == {"before": None, "after": 80.0}
    assert admin("POST", f"{PLACES}?dry_run=true", ON_CALL).body["would"][0]["target"] == "destination/on-call"
    assert len(acts(owner)) == 1
    assert (admin("GET", OF_F).body["items"], admin("GET", PLACES).body["items"]) == ([], [])
    make_rule(admin)
    assert admin("POST", f"{OF_F}?dry_run=true", HOT | {"rule_id": "hotter"}).body["code"] == "rule_twice"
    archive = admin("POST", f"{OF_F}/hot/archive?dry_run=true", {"reason": "r"}, if_match='"1"')
    assert archive.body["would"][0]["changes"]["state"] == {"before": "active", "after": "archived"}
    assert admin("GET", f"{OF_F}/hot").body["state"] == "active"


def test_a_repeated_request_makes_one_rule(admin: Admin, owner: Owner) -> None:
    create = partial(admin, "POST", OF_F, HOT, idempotency_key="k")
    admin.unpublished = True
    assert create().body["code"] == "not_published"
    admin.unpublished = False
    first, again = create(), create()
    assert (first.status, again.body) == (201, first.body)
    assert [rule.rule_id for rule in admin.published[RULES]] == ["hot"]
    assert len(acts(owner)) == 2


def test_one_series_may_have_rules_of_other_kinds_and_for_other_devices(admin: Admin) -> None:
    make_fleet(admin, "g")
    made = [
        make_rule(admin),
        make_rule(admin, rule_id="cold", kind="below"),
        make_rule(admin, rule_id="presses", device_type="press"),
        make_rule(admin, rule_id="one", device_id="p-1"),
        make_rule(admin, rule_id="vibration", metric="vibration", unit="in/s"),
        make_rule(admin, rule_id="silent", kind="silence", metric=None, unit=None, open=5),
        make_rule(admin, fleet="g"),
    ]
    assert [got.status for got in made] == [201] * len(made)
    assert make_rule(admin, rule_id="presses-2", device_type="press").body["code"] == "rule_twice"
    # An archived rule makes room for another one, and its id stays taken.
    admin("POST", f"{OF_F}/hot/archive", {"reason": "r"}, if_match='"1"')
    assert make_rule(admin, rule_id="hot").body["code"] == "rule_exists"
    assert make_rule(admin, rule_id="hot-2").status == 201
    assert [each["rule_id"] for each in admin("GET", f"{OF_F}?limit=3").body["items"]] == ["cold", "hot", "hot-2"]


def test_the_table_itself_refuses_two_rules_for_the_same(admin: Admin, owner: Owner) -> None:
    make_rule(admin)
    with pytest.raises(psycopg.errors.UniqueViolation):
        owner.execute('INSERT INTO rule SELECT (jsonb_populate_record(rule, \'{"rule_id": "twin"}\')).* FROM rule')


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_the_table_itself_refuses_what_is_no_number(admin: Admin, owner: Owner, value: str) -> None:
    make_rule(admin)
    with pytest.raises(psycopg.errors.CheckViolation):
        owner.execute("UPDATE rule SET open = %s::float8", (value,))


def test_an_archived_fleet_gets_no_rule_and_no_destination_and_its_own_end(admin: Admin) -> None:
    make_rule(admin)
    make_destination(admin, fleet_id="f")
    admin("POST", f"{FLEETS}/f/archive", {"reason": "sold"}, if_match='"1"')
    assert make_rule(admin, rule_id="more", kind="below").body["code"] == "fleet_archived"
    assert make_destination(admin, destination_id="more", fleet_id="f").body["code"] == "fleet_archived"
    assert admin("PATCH", f"{OF_F}/hot", {"open": 90}, if_match='"1"').body["code"] == "fleet_archived"
    # publish does this within a minute.
    for kind in (RULES, DESTINATIONS):
        admin.publish(kind, NOW)
        assert admin.published[kind] == ()


def test_rules_and_destinations_are_limited_in_number(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    make_rule(admin)
    make_destination(admin)
    monkeypatch.setattr(core_rules, "MOST_OF_FLEET", 1)
    monkeypatch.setattr(core_destinations, "MOST_DESTINATIONS", 1)
    assert make_rule(admin, rule_id="cold", kind="below").body["code"] == "too_many_rules"
    assert make_destination(admin, destination_id="b").body["code"] == "too_many_destinations"
    admin("POST", f"{OF_F}/hot/archive", {"reason": "r"}, if_match='"1"')
    assert make_rule(admin, rule_id="cold", kind="below").status == 201


def test_lists_are_read_page_by_page(admin: Admin) -> None:
    for number in range(5):
        make_rule(admin, rule_id=f"r-{number}", device_id=f"p-{number}")
        make_destination(admin, destination_id=f"d-{number}")
    for path, name, letter in ((OF_F, "rule_id", "r"), (PLACES, "destination_id", "d")):
        seen, cursor = [], ""
        while cursor is not None:
            page = admin("GET", f"{path}?limit=2{cursor and '&cursor=' + cursor}").body
            seen += [each[name] for each in page["items"]]
            cursor = page["next_cursor"]
        assert seen == [f"{letter}-{number}" for number in range(5)]
