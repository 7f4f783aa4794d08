"""Requests about incidents on a real database: why someone was woken or not, and what is done, each with its entry."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta

import psycopg
import pytest

from tests.database.administering import SOMEONE, Admin, Got, Owner, acts
from tests.database.alerting import Alert
from tests.support.alerts import MINUTE, START, readings, verdict

Ask = Callable[..., Got]
LIST, SHOW = "GET /v1/admin/alerts", "GET /v1/admin/alerts/{incident}"
ACKNOWLEDGE, RESOLVE = "POST /v1/admin/alerts/{incident}/acknowledge", "POST /v1/admin/alerts/{incident}/resolve"
DEVICE = "GET /v1/admin/fleets/{fleet}/devices/{device}/alerts"
SILENCES, SILENCE, END = "GET /v1/admin/silences", "POST /v1/admin/silences", "POST /v1/admin/silences/{silence}/end"


@pytest.fixture
def owner(database: str) -> Iterator[Owner]:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO fleet (fleet_id, events_per_second, rejects_per_second, created_at)"
            " VALUES ('fleet-1', 1, 1, now())"
        )
        yield connection


@pytest.fixture
def admin(database: str, owner: Owner) -> Iterator[Admin]:
    del owner
    admin = Admin(database, now=START)
    yield admin
    admin.database.close()


@pytest.fixture
def alert(database: str) -> Iterator[Alert]:
    alert = Alert(database)
    yield alert
    alert.close()


@pytest.fixture
def ask(admin: Admin) -> Ask:
    """Ask a route."""

    def send(route: str, body: object = None, query: str = "", key: str | None = None, **path: str) -> Got:
        event = {
            "routeKey": route,
            "rawQueryString": query,
            "pathParameters": path,
            "headers": {} if key is None else {"idempotency-key": key},
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


def only(ask: Ask) -> str:
    (incident,) = ask(LIST).body["items"]
    return str(incident["incident_id"])


def test_incidents_are_listed_by_what_is_asked_for(alert: Alert, ask: Ask) -> None:
    alert.take(verdict(readings("b")), verdict(readings("b.."), "device-2", rule_id="other", severity="critical"))
    assert len(ask(LIST).body["items"]) == 2
    for query, rules in (
        ("state=open", ["hot"]),
        ("state=resolved", ["other"]),
        ("severity=critical", ["other"]),
        ("device_id=device-1", ["hot"]),
        ("fleet_id=fleet-9", []),
    ):
        assert [each["rule_id"] for each in ask(LIST, query=query).body["items"]] == rules, query
    for query in ("state=shut", "device_id=%00", "limit=0"):
        assert ask(LIST, query=query).status == 400, query


def test_an_incident_says_what_led_to_it_and_what_was_told(alert: Alert, ask: Ask) -> None:
    alert.take(verdict(readings("b-b"), breaches=2, of=3))
    shown = ask(SHOW, incident=only(ask)).body
    assert shown["incident"]["state"] == "open"
    assert "told_at" not in shown["incident"]
    assert [each["device_id"] for each in shown["devices"]] == ["device-1"]
    (series,) = shown["series"]
    assert [each["state"] for each in series["readings"]] == ["breach", "between", "breach"]
    assert "2 of its latest 3 readings are breaches; it fires with 2." in series["said"]
    (message,) = shown["messages"]
    assert (message["sequence"], message["happening"]) == (1, "opened")
    assert message["sent_at"] is not None
    assert any("1 messages were written" in line for line in shown["said"])
    assert ask(SHOW, incident="ff" * 12).status == 404
    assert ask(SHOW, incident="\0").body["code"] == "unknown_incident"


def test_the_series_of_an_incident_is_shown_among_many_newer_ones_of_its_device(alert: Alert, ask: Ask) -> None:
    alert.take(verdict(readings("b")))
    incident = only(ask)
    alert.take(*[verdict(readings("b", 1), rule_id=f"rule-{number}") for number in range(101)])
    assert [each["rule_id"] for each in ask(SHOW, incident=incident).body["series"]] == ["hot"]


def test_a_device_that_did_not_fire_says_how_near_it_was(alert: Alert, ask: Ask) -> None:
    alert.take(verdict(readings("b"), breaches=3, of=5))
    shown = ask(DEVICE, fleet="fleet-1", device="device-1").body
    assert "1 of its latest 5 readings are breaches; it fires with 3." in shown["series"][0]["said"]
    assert ask(DEVICE, fleet="fleet-1", device="device-7").body["series"] == []
    assert ask(DEVICE, fleet="fleet-7", device="device-7").status == 404


def test_an_incident_is_acknowledged_once_with_its_entry(alert: Alert, ask: Ask, owner: Owner) -> None:
    alert.take(verdict(readings("b")))
    incident = only(ask)
    for _ in range(2):
        assert ask(ACKNOWLEDGE, {}, incident=incident).body["acknowledged_by"] == SOMEONE
    assert acts(owner) == [("incident.acknowledge", f"incident/{incident}")]
    alert.attend(START + MINUTE, 1)
    assert alert.sns.happenings() == ["opened", "acknowledged"]


def test_an_incident_resolved_by_hand_is_told_and_opens_again_with_the_next_breach(
    alert: Alert, ask: Ask, owner: Owner
) -> None:
    alert.take(verdict(readings("b")))
    incident = only(ask)
    assert ask(RESOLVE, {}, incident=incident).body["code"] == "reason_required"
    assert ask(RESOLVE, {"reason": "fixed"}, incident=incident).body["resolution"] == "by_hand"
    assert acts(owner) == [("incident.resolve", f"incident/{incident}")]
    assert ask(RESOLVE, {"reason": "fixed"}, incident=incident).status == 409
    assert ask(ACKNOWLEDGE, {}, incident=incident).body["code"] == "incident_resolved"
    alert.attend(START + MINUTE)
    alert.take(verdict(readings("b", 2)))
    assert alert.sns.happenings() == ["opened", "resolved", "updated"]


def test_a_silence_has_an_end_and_is_audited(alert: Alert, ask: Ask, owner: Owner, admin: Admin) -> None:
    wanted = {"fleet_id": "fleet-1", "minutes": 30, "rule_id": "hot", "reason": "repair"}
    made = ask(SILENCE, wanted)
    assert made.status == 201
    number = str(made.body["silence"])
    assert acts(owner) == [("silence.create", f"silence/{number}")]
    assert ask(SILENCES, query="fleet_id=fleet-1").body["items"] == [made.body]
    alert.take(verdict(readings("b")))
    assert alert.sns.happenings() == []
    said = ask(SHOW, incident=only(ask)).body["said"]
    assert said[0] == "No message was written about it."
    assert said[1].startswith(f"Silence {number} holds until")
    admin.now = START + 5 * MINUTE
    assert ask(END, {"reason": "repaired"}, silence=number).status == 200
    assert ask(SILENCES).body["items"] == []
    assert len(ask(SILENCES, query="ended=true").body["items"]) == 1
    assert ask(END, {"reason": "repaired"}, silence=number).body["code"] == "silence_ended"
    assert ask(END, {"reason": "repaired"}, silence="99999999999").body["code"] == "unknown_silence"
    alert.attend(START + 6 * MINUTE)
    assert alert.sns.happenings() == ["silence_ended"]
    assert acts(owner)[-1] == ("silence.end", f"silence/{number}")


def test_a_repeated_request_changes_nothing_again(alert: Alert, ask: Ask, owner: Owner, admin: Admin) -> None:
    alert.take(verdict(readings("b")))
    incident = only(ask)
    wanted = {"fleet_id": "fleet-1", "minutes": 30, "reason": "repair"}
    silence = str(ask(SILENCE, wanted, key="a").body["silence"])
    requests: list[tuple[str, object, str, dict[str, str]]] = [
        (SILENCE, wanted, "a", {}),
        (END, {"reason": "repaired"}, "b", {"silence": silence}),
        (ACKNOWLEDGE, {}, "c", {"incident": incident}),
        (RESOLVE, {"reason": "repaired"}, "d", {"incident": incident}),
    ]
    first = [ask(route, body, key=key, **path) for route, body, key, path in requests]
    done = acts(owner)
    assert len(done) == len(requests)
    admin.now += MINUTE
    again = [ask(route, body, key=key, **path) for route, body, key, path in requests]
    assert [(each.status, each.body) for each in again] == [(each.status, each.body) for each in first]
    assert acts(owner) == done
    assert ask(SILENCE, {**wanted, "minutes": 60}, key="a").body["code"] == "idempotency_key_reused"


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"minutes": 0}, 400),
        ({"minutes": timedelta(days=31) // MINUTE}, 400),
        ({"reason": " "}, 400),
        ({"fleet_id": "fleet-9"}, 404),
        ({"device_id": ""}, 400),
        ({"for_ever": True}, 400),
    ],
)
def test_a_silence_that_cannot_be_is_refused(ask: Ask, changed: dict[str, object], status: int) -> None:
    wanted: dict[str, object] = {"fleet_id": "fleet-1", "minutes": 30, "reason": "repair"}
    assert ask(SILENCE, wanted | changed).status == status


@pytest.mark.parametrize("route", [ACKNOWLEDGE, RESOLVE, SILENCE, END])
def test_a_dry_run_is_refused_and_changes_nothing(ask: Ask, alert: Alert, owner: Owner, route: str) -> None:
    alert.take(verdict(readings("b")))
    before = owner.execute("SELECT * FROM incident").fetchall()
    assert before
    body = {"fleet_id": "fleet-1", "minutes": 5, "reason": "to see"}
    (incident,) = owner.execute("SELECT incident_id FROM incident").fetchone() or ("",)
    got = ask(route, body, "dry_run=true", incident=incident, silence="1")
    assert (got.status, got.body["code"]) == (400, "unknown_parameter")
    assert owner.execute("SELECT * FROM incident").fetchall() == before
    assert owner.execute("SELECT count(*) FROM silence").fetchone() == (0,)
