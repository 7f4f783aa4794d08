"""What time alone does to incidents on a real database, and the reports of notify."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from sluice.core.alerts.messages import Attempt
from sluice.edge.alerts.attempts import record_attempts
from tests.database.alerting import Alert, rows
from tests.support.alerts import MINUTE, START, readings, verdict
from tests.support.topics import IN_ORDER

DAY = timedelta(days=1)


@pytest.fixture
def alert(database: str) -> Iterator[Alert]:
    alert = Alert(database)
    yield alert
    alert.close()


def test_an_incident_that_no_one_acknowledges_is_escalated_until_someone_does(alert: Alert, database: str) -> None:
    alert.take(verdict(readings("b")))
    for minute in range(1, 12):
        alert.attend(START + minute * MINUTE, 5, 10, 30)
    assert alert.sns.happenings() == ["opened", "escalated", "escalated"]
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE incident SET acknowledged_at = %s, acknowledged_by = 'me'", [START + 12 * MINUTE])
    for minute in (13, 31, 70):
        alert.attend(START + minute * MINUTE, 5, 10, 30)
    assert alert.sns.happenings()[3:] == ["acknowledged"]


def test_an_incident_that_is_open_when_its_silence_ends_is_told_then(alert: Alert, database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO silence (fleet_id, device_id, reason, principal, made_at, until)"
            " VALUES ('fleet-1', 'device-1', 'repair', 'me', %s, %s)",
            [START, START + 30 * MINUTE],
        )
    alert.take(verdict(readings("b")), verdict(readings("b"), "device-2", rule_id="other"))
    assert alert.sns.happenings() == ["opened"]
    alert.attend(START + 29 * MINUTE)
    assert alert.sns.happenings() == ["opened"]
    alert.attend(START + 30 * MINUTE)
    assert alert.sns.happenings() == ["opened", "silence_ended"]


def test_an_incident_of_which_nothing_was_heard_for_a_day_ends(alert: Alert, database: str) -> None:
    alert.take(verdict(readings("b")), verdict(readings("b"), "device-2", rule_id="other"))
    alert.take(verdict(readings("b", 1)), now=START + DAY - MINUTE)
    alert.attend(START + DAY + MINUTE)
    found = rows(database, "SELECT rule_id, state, resolution FROM incident ORDER BY rule_id")
    assert found == [("hot", "open", None), ("other", "resolved", "unheard")]
    assert alert.sns.happenings() == ["opened", "opened", "resolved"]


def test_a_step_that_fails_leaves_the_others(alert: Alert) -> None:
    alert.sns.away = True
    alert.take(verdict(readings("b")))
    alert.hints.watched = {}
    alert.attend(START + MINUTE)
    assert alert.hints.watched == {("fleet-1", "device-1"): ["hot"]}
    alert.sns.away = False
    alert.attend(START + 2 * MINUTE)
    assert alert.sns.happenings() == ["opened"]


def test_a_fleet_whose_lock_is_held_does_not_keep_attend_from_the_others(alert: Alert, database: str) -> None:
    alert.take(verdict(readings("b")), verdict(readings("b"), fleet_id="fleet-2"))
    with psycopg.connect(database) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('alerts/fleet-1', 0))")
        alert.attend(START + 5 * MINUTE, 5)
        assert alert.sns.happenings() == ["opened", "opened", "escalated"]
    alert.attend(START + 6 * MINUTE, 5)
    assert alert.sns.happenings()[3:] == ["escalated"]


def report(number: int, **changed: Any) -> dict[str, str]:
    attempt = Attempt(
        incident_id="ab" * 12,
        sequence=1,
        destination_id="ops",
        attempt=number,
        outcome="failed",
        status=500,
        at=START,
        seconds=0.5,
    )
    body = json.loads(msgspec.json.encode(attempt)) | changed
    return {"messageId": f"m-{number}", "body": json.dumps(body)}


def test_reports_of_notify_are_stored_once_and_unreadable_ones_are_named(alert: Alert, database: str) -> None:
    batch = {"Records": [report(1), report(2, detail="\0x" * 400), report(3, outcome="lost"), report(4)]}
    for _ in range(2):
        assert record_attempts(alert.attending, batch) == {"batchItemFailures": [{"itemIdentifier": "m-3"}]}
    found = rows(database, "SELECT attempt, outcome, length(detail) FROM delivery ORDER BY attempt")
    assert found == [(1, "failed", 0), (2, "failed", 250), (4, "failed", 0)]
    assert alert.sns.taken[IN_ORDER] == []


def test_attempts_of_a_message_that_is_sent_again_are_stored_beside_the_earlier_ones(
    alert: Alert, database: str
) -> None:
    again = report(1, at="2026-11-30T15:00:00Z", outcome="delivered")
    record_attempts(alert.attending, {"Records": [report(1, outcome="given_up"), again, again]})
    found = rows(database, "SELECT attempt, outcome FROM delivery ORDER BY at")
    assert found == [(1, "given_up"), (1, "delivered")]
