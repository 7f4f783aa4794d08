"""A reader's questions about incidents and about what is usual, from the route to what alert and learn wrote."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from sluice.core.times import write_time
from tests.database.alerting import Alert
from tests.database.numbers import add_baseline, add_entity, add_metrics
from tests.support.alerts import MINUTE, START, readings, verdict
from tests.support.incidents import add_incident, add_rule
from tests.support.readers import FLEET, Reader

LIST = "/v1/incidents"
HOUR = timedelta(hours=1)
Owner = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def owner(database: str) -> Iterator[Owner]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def reader(database: str) -> Iterator[Reader]:
    reader = Reader(database)
    reader.now = START + HOUR
    yield reader
    reader.close()


@pytest.fixture
def alert(database: str) -> Iterator[Alert]:
    alert = Alert(database)
    yield alert
    alert.close()


def fire(alert: Alert, states: str, device: str = "press-1", **changed: Any) -> None:
    alert.take(verdict(readings(states), device, fleet_id=FLEET, **changed))


def silence(owner: Owner, until: Any, *, rule: str | None = None, device: str | None = None) -> None:
    owner.execute(
        "INSERT INTO silence (fleet_id, rule_id, device_id, reason, principal, made_at, until)"
        " VALUES (%s, %s, %s, 'bearings are replaced', 'someone', %s, %s)",
        (FLEET, rule, device, START, until),
    )


def test_incidents_are_listed_by_what_is_asked_for_and_of_the_keys_fleet_only(alert: Alert, reader: Reader) -> None:
    fire(alert, "b")
    fire(alert, "b..", "press-2", rule_id="other", metric="humidity", severity="critical")
    fire(alert, "b", "press-3", rule_id="gone", metric="", unit="", kind="silence")
    alert.take(verdict(readings("b"), "a-secret", fleet_id="fleet-1"))
    document = reader.get(LIST).body
    assert {item["rule_id"] for item in document["items"]} == {"hot", "other", "gone"}
    assert "secret" not in str(document)
    for query, rules in (
        ("state=open", {"hot", "gone"}),
        ("state=resolved", {"other"}),
        ("severity=critical", {"other"}),
        ("kind=silence", {"gone"}),
        ("metric=temperature", {"hot"}),
        ("device=press-2&state=all", {"other"}),
        ("device=a-secret", set()),
        # Those that ended before the range, or began after it, are not among them.
        (f"from={write_time(START + 30 * MINUTE)}", {"hot", "gone"}),
        (f"to={write_time(START)}", set()),
    ):
        assert {item["rule_id"] for item in reader.get(f"{LIST}?{query}").body["items"]} == rules, query
    for query in (
        "state=closed",
        "severity=bad",
        "device=",
        "since=1",
        "from=2026-12-01T00:00:00Z&to=2026-11-01T00:00:00Z",
    ):
        assert reader.get(f"{LIST}?{query}").status == 400, query


def test_an_incident_stands_beside_its_rule_and_says_when_it_was_heard_of(
    alert: Alert, owner: Owner, reader: Reader
) -> None:
    add_rule(owner, FLEET, opens=90.0)
    alert.take(
        verdict(readings("b"), "press-1", fleet_id=FLEET, metric="cpu_temp", unit="degC"), now=START + 10 * MINUTE
    )
    status, document = reader.get(LIST)
    assert (status, document["as_of"]) == (200, write_time(reader.now))
    (item,) = document["items"]
    assert (item["state"], item["severity"], item["examples"], item["open_devices"]) == (
        "open",
        "warning",
        ["press-1"],
        1,
    )
    assert (item["opened_at"], item["resolved_at"], item["value"]) == (write_time(START), None, 80.0)
    # The rule as it is now, and the threshold as it was when it fired.
    assert item["rule"] == {
        "open": 90.0, "clear": 75.0, "unit": "degC", "breaches": 3, "of": 5, "archived_at": None,
    }  # fmt: skip
    assert item["threshold"] == 80.0
    # Ten minutes passed before alert took in what had been received at once.
    assert document["verdicts"] == {"heard_at": write_time(START + 10 * MINUTE), "delay_seconds": 600}
    assert item["heard_at"] == document["verdicts"]["heard_at"]


def test_an_incident_says_when_its_first_message_was_delivered(owner: Owner, reader: Reader) -> None:
    (incident,) = [add_incident(owner, FLEET, ["press-1"], opened_at=START)]
    assert reader.get(LIST).body["items"][0]["notified_at"] is None
    for outcome, minutes in (("failed", 1), ("delivered", 3), ("delivered", 2)):
        owner.execute(
            "INSERT INTO delivery (incident_id, sequence, destination_id, attempt, outcome, detail, at, seconds)"
            " VALUES (%s, 1, 'on-call', 1, %s, '', %s, 0.1)",
            [incident, outcome, START + minutes * MINUTE],
        )
    assert reader.get(LIST).body["items"][0]["notified_at"] == write_time(START + 2 * MINUTE)


def test_without_verdicts_nothing_is_known_of_alert(reader: Reader) -> None:
    document = reader.get(LIST).body
    assert (document["verdicts"], document["silences"], document["items"], document["next_cursor"]) == (
        None,
        [],
        [],
        None,
    )


def test_pages_hold_each_incident_once_while_others_open(owner: Owner, reader: Reader) -> None:
    known = [add_incident(owner, FLEET, ["press-1"], opened_at=START - number // 2 * MINUTE) for number in range(7)]
    first = reader.get(f"{LIST}?limit=3").body
    add_incident(owner, FLEET, ["press-2"], opened_at=START + MINUTE)
    # Days later the cursor still means the range of its first page.
    reader.now += timedelta(days=30)
    rest = reader.get(f"{LIST}?limit=100&cursor={first['next_cursor']}").body
    assert (rest["from"], rest["next_cursor"]) == (first["from"], None)
    found = [item["incident_id"] for item in (*first["items"], *rest["items"])]
    assert (len(found), set(found)) == (7, set(known))
    times = [item["opened_at"] for item in (*first["items"], *rest["items"])]
    assert times == sorted(times, reverse=True)
    got = reader.get(f"{LIST}?state=open&cursor={first['next_cursor']}")
    assert (got.status, got.body["code"]) == (400, "invalid_cursor")


def test_an_incident_is_silenced_as_long_as_each_of_its_open_devices_is(owner: Owner, reader: Reader) -> None:
    incident = add_incident(owner, FLEET, ["press-1", "press-2", "well-again"], opened_at=START, open_devices=2)
    owner.execute("UPDATE incident_device SET cleared_at = %s WHERE device_id = 'well-again'", (START,))
    cases: list[tuple[list[dict[str, Any]], int | None]] = [
        ([], None),
        ([{"rule": "other"}], None),
        ([{"device": "press-1"}], None),
        ([{"device": "press-1"}, {"device": "well-again"}], None),
        ([{}], 30),
        ([{"rule": "hot"}], 30),
        ([{"device": "press-1", "minutes": 10}, {"device": "press-2", "rule": "hot"}], 10),
        ([{"device": "press-1"}, {"device": "press-2", "rule": "other"}], None),
        ([{"device": "press-1", "minutes": 10}, {"device": "press-2"}, {"rule": "hot", "minutes": 20}], 20),
        ([{"minutes": -10}], None),
    ]
    for silences, until in cases:
        owner.execute("DELETE FROM silence")
        for one in silences:
            given = {"minutes": 30} | one
            silence(owner, reader.now + given.pop("minutes") * MINUTE, **given)
        document = reader.get(LIST).body
        (item,) = document["items"]
        expected = None if until is None else write_time(reader.now + until * MINUTE)
        assert item["silenced_until"] == expected, silences
        assert len(document["silences"]) == sum(one.get("minutes", 30) > 0 for one in silences)
        assert reader.get(f"{LIST}/{incident}").body["incident"]["silenced_until"] == expected


def test_one_incident_is_shown_with_its_devices_and_the_silences_that_matter(owner: Owner, reader: Reader) -> None:
    incident = add_incident(owner, FLEET, ["press-1", "press-2"], opened_at=START)
    owner.execute("UPDATE incident_device SET cleared_at = %s WHERE device_id = 'press-1'", (START + MINUTE,))
    silence(owner, reader.now + HOUR, device="press-2")
    silence(owner, reader.now + HOUR, device="press-9")
    got = reader.get(f"{LIST}/{incident}")
    assert got.headers["cache-control"] == "private, max-age=5"
    assert (got.body["incident"]["incident_id"], got.body["incident"]["rule"]) == (incident, None)
    assert got.body["devices"] == [
        {"device_id": "press-2", "joined_at": write_time(START), "cleared_at": None},
        {"device_id": "press-1", "joined_at": write_time(START), "cleared_at": write_time(START + MINUTE)},
    ]
    assert got.body["silences"] == [
        {
            "rule_id": None,
            "device_id": "press-2",
            "until": write_time(reader.now + HOUR),
            "reason": "bearings are replaced",
        }
    ]
    again = reader.get(f"{LIST}/{incident}", if_none_match=got.headers["etag"])
    assert (again.status, again.body) == (304, None)


def test_an_incident_of_another_fleet_is_as_unknown_as_none(owner: Owner, reader: Reader) -> None:
    foreign = add_incident(owner, "fleet-1", ["press-1"], opened_at=START)
    for asked in ("0" * 24, "no-incident", "%00", foreign):
        got = reader.get(f"{LIST}/{asked}")
        assert (got.status, got.body["code"]) == (404, "unknown_incident")


def test_a_page_reads_the_fleets_own_incidents_and_no_devices_without_need(owner: Owner, reader: Reader) -> None:
    incident = add_incident(owner, FLEET, ["press-1"], opened_at=START)
    owner.execute(
        "INSERT INTO incident SELECT (jsonb_populate_record(incident, jsonb_build_object("
        " 'incident_id', left(encode(sha256(number::text::bytea), 'hex'), 24),"
        " 'fleet_id', 'fleet-' || number % 40, 'opened_at', opened_at - number * interval '1 minute'))).*"
        " FROM incident CROSS JOIN generate_series(1, 20000) AS number"
    )
    owner.execute("ANALYZE incident")
    plan = owner.execute(
        "EXPLAIN SELECT * FROM incident WHERE fleet_id = 'fleet-3' AND (opened_at, incident_id) < (now(), '')"
        " ORDER BY opened_at DESC, incident_id DESC LIMIT 100"
    ).fetchall()
    assert "incident_of_fleet" in str(plan)
    owner.execute("UPDATE incident SET devices = 1000, open_devices = 1000 WHERE incident_id = %s", (incident,))
    for number in range(201):
        silence(owner, reader.now + HOUR, device=f"press-{number}")
    document = reader.get(LIST).body
    assert (document["items"][0]["silenced_until"], len(document["silences"])) == (None, 200)


def test_what_is_usual_for_a_device_is_told_by_the_hour_of_working_days_and_weekends(
    owner: Owner, reader: Reader
) -> None:
    keys = add_metrics(owner)
    since = datetime(2026, 11, 20, tzinfo=UTC)
    for fleet_id, name in ((FLEET, "press-1"), (FLEET, "press-2"), ("other", "press-1")):
        add_baseline(owner, add_entity(owner, fleet_id, name), keys["cpu_temp"], since)
    got = reader.get(f"/v1/fleets/{FLEET}/baselines?device=press-1")
    assert (got.status, got.headers["cache-control"], got.body["next_cursor"]) == (200, "private, max-age=600", None)
    (item,) = got.body["items"]
    assert (item["metric"], item["unit"], item["since"]) == ("cpu_temp", "degC", write_time(since))
    assert [cell["mean"] for cell in item["working_days"]] == [*range(1, 25)]
    assert [cell["mean"] for cell in item["weekend"]] == [*range(25, 49)]
    assert item["weekend"][0] == {"count": 60, "mean": 25, "deviation": 2}
    # A device that is new has none yet.
    assert reader.get(f"/v1/fleets/{FLEET}/baselines?device=press-9").body["items"] == []
    refused = reader.get(f"/v1/fleets/{FLEET}/baselines")
    assert (refused.status, refused.body["code"]) == (400, "missing_parameter")
