"""Incidents on a real database: effect and position in one transaction, messages after it, each once."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from sluice.core.errors import Retryable
from sluice.edge.alerts.tables import AlertTables
from sluice.edge.rollups.maintenance import Maintenance
from tests.database.alerting import Alert, rows
from tests.database.replaying import connect_as
from tests.support.alerts import MINUTE, START, readings, verdict
from tests.support.topics import IN_ORDER, TOPIC, PlayedSns

MESSAGES = "SELECT sequence, message ->> 'happening', sent_at IS NOT NULL FROM alert_message ORDER BY 1"


@pytest.fixture
def alert(database: str) -> Iterator[Alert]:
    alert = Alert(database)
    yield alert
    alert.close()


def test_verdicts_become_an_incident_that_both_topics_are_told_of(alert: Alert, database: str) -> None:
    alert.take(verdict(readings("b")))
    alert.take(verdict(readings("..", 1)))
    assert alert.sns.happenings() == alert.sns.happenings(TOPIC) == ["opened", "resolved"]
    ((incident_id, state, devices),) = rows(database, "SELECT incident_id, state, devices FROM incident")
    assert (state, devices) == ("resolved", 1)
    first = alert.sns.taken[IN_ORDER][0]
    assert first["MessageGroupId"] == incident_id
    assert first["MessageDeduplicationId"] == f"{incident_id}-1"
    assert first["MessageAttributes"]["severity"]["StringValue"] == "warning"
    assert "MessageGroupId" not in alert.sns.taken[TOPIC][0]
    assert rows(database, MESSAGES) == [(1, "opened", True), (2, "resolved", True)]


def test_a_batch_that_is_delivered_again_changes_nothing(alert: Alert, database: str) -> None:
    batch = [verdict(readings("b..b")), verdict(readings("b"), "device-2")]
    alert.take(*batch)
    before = rows(database, "SELECT to_jsonb(incident) - 'changed_at' FROM incident")
    told = alert.sns.happenings()
    for _ in range(2):
        alert.take(*batch, now=START + 10 * MINUTE)
    assert rows(database, "SELECT to_jsonb(incident) - 'changed_at' FROM incident") == before
    assert alert.sns.happenings() == told


def test_a_transaction_that_fails_leaves_nothing(alert: Alert, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = AlertTables.keep

    def keep_and_die(tables: AlertTables, *given: Any) -> None:
        keep(tables, *given)
        raise Retryable("the process died before its commit")

    with monkeypatch.context() as patched:
        patched.setattr(AlertTables, "keep", keep_and_die)
        with pytest.raises(Retryable):
            alert.take(verdict(readings("b")))
    assert rows(database, "SELECT count(*) FROM series_state") == [(0,)]
    assert rows(database, "SELECT count(*) FROM incident") == [(0,)]
    alert.take(verdict(readings("b")))
    assert alert.sns.happenings() == ["opened"]


@pytest.mark.shows_fault(
    part="SNS",
    fault="no answer, or some messages refused",
    expected="messages are committed, and sent in their order later",
)
def test_messages_that_sns_does_not_take_are_committed_and_sent_later(alert: Alert, database: str) -> None:
    alert.sns.away = True
    alert.take(verdict(readings("b..")))
    assert alert.sns.happenings() == []
    assert rows(database, MESSAGES) == [(1, "opened", False), (2, "resolved", False)]
    alert.sns.away = False
    alert.attend(START + 3 * MINUTE)
    assert alert.sns.happenings() == ["opened", "resolved"]


def test_batches_do_not_each_wait_for_an_sns_that_does_not_answer(alert: Alert) -> None:
    alert.sns.away = True
    for number in range(5):
        alert.take(verdict(readings("b"), rule_id=f"rule-{number}"))
    assert alert.sns.asked == 1


@pytest.mark.shows_fault(part="SNS", fault="no answer, or some messages refused")
def test_a_refused_message_holds_back_the_later_ones_of_its_incident_and_no_others(alert: Alert, database: str) -> None:
    alert.sns.away = True
    alert.take(verdict(readings("b..")), verdict(readings("b.."), rule_id="other"))
    alert.sns.away = False
    ((refused,),) = rows(database, "SELECT incident_id FROM incident WHERE rule_id = 'hot'")
    alert.sns.refuses = {refused}
    for _ in range(2):
        alert.attend(START + 3 * MINUTE)
    assert {entry["MessageGroupId"] for entry in alert.sns.taken[IN_ORDER]}.isdisjoint({refused})
    assert len(alert.sns.taken[IN_ORDER]) == 2
    alert.sns.refuses = set()
    alert.attend(START + 4 * MINUTE)
    mine = [
        entry["MessageDeduplicationId"] for entry in alert.sns.taken[IN_ORDER] if entry["MessageGroupId"] == refused
    ]
    assert mine == [f"{refused}-1", f"{refused}-2"]


def test_a_message_that_sns_can_never_take_is_put_aside_and_holds_nothing_back(alert: Alert, database: str) -> None:
    alert.sns.away = True
    alert.take(verdict(readings("b..")), verdict(readings("b.."), rule_id="other"))
    alert.sns.away = False
    ((hot,),) = rows(database, "SELECT incident_id FROM incident WHERE rule_id = 'hot'")
    alert.sns.refuses, alert.sns.code = {hot}, "InvalidParameter"
    alert.attend(START + 3 * MINUTE)
    assert len(alert.sns.taken[IN_ORDER]) == 2
    found = rows(database, "SELECT incident_id, sent_at IS NULL FROM alert_message WHERE refused_at IS NOT NULL")
    assert found == [(hot, True), (hot, True)]
    alert.sns.refuses = set()
    alert.take(verdict(readings("b", 3)))
    alert.attend(START + 4 * MINUTE)
    assert [entry["MessageDeduplicationId"] for entry in alert.sns.taken[IN_ORDER][2:]] == [f"{hot}-3"]


def test_a_message_of_a_newer_release_is_sent_as_it_is_stored(alert: Alert, database: str) -> None:
    alert.sns.away = True
    alert.take(verdict(readings("b")))
    with psycopg.connect(database) as connection:
        connection.execute('UPDATE alert_message SET message = message || \'{"happening": "merged", "version": 2}\'')
    alert.sns.away = False
    alert.attend(START + MINUTE)
    (entry,) = alert.sns.taken[IN_ORDER]
    assert json.loads(entry["Message"])["version"] == 2
    assert entry["MessageAttributes"]["happening"]["StringValue"] == "merged"


def test_a_defect_of_what_follows_the_commit_does_not_fail_the_batch(
    alert: Alert, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_given: Any) -> None:
        raise KeyError

    monkeypatch.setattr(alert.sns, "publish_batch", fail)
    alert.take(verdict(readings("b")))
    assert rows(database, MESSAGES) == [(1, "opened", False)]


@pytest.mark.shows_fault(
    part="alert",
    fault="killed between SNS and its commit",
    expected="the message is sent again with its number, and the FIFO topic drops it",
)
def test_a_process_killed_between_sns_and_its_commit_sends_the_same_message_again(alert: Alert, database: str) -> None:
    class Killed(BaseException):
        pass

    class KilledAfterSns(PlayedSns):
        def publish_batch(self, **given: Any) -> dict[str, Any]:
            answer = super().publish_batch(**given)
            if given["TopicArn"] == TOPIC:
                raise Killed
            return answer

    other = Alert(database, KilledAfterSns())
    with pytest.raises(Killed):
        other.take(verdict(readings("b")))
    other.close()
    alert.sns.taken = other.sns.taken
    alert.attend(START + MINUTE)
    assert len(alert.sns.taken[IN_ORDER]) == 2
    assert alert.sns.happenings() == ["opened"]
    assert rows(database, MESSAGES) == [(1, "opened", True)]


def at_once(*acts: Callable[[], object]) -> None:
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.shows_fault(
    part="alert", fault="the same batch at several workers", expected="one incident, and each message once"
)
def test_two_workers_with_the_same_batch_make_one_incident(database: str) -> None:
    sns = PlayedSns()
    workers = [Alert(database, sns) for _ in range(3)]
    batch = [verdict(readings("b..b"), f"device-{number}", rule_id=f"rule-{number % 3}") for number in range(30)]
    now = START + 5 * MINUTE
    at_once(*(lambda worker=worker: worker.take(*batch, now=now) for worker in workers))
    for worker in workers:
        worker.close()
    assert rows(database, "SELECT count(*) FROM incident") == [(3,)]
    told = rows(database, "SELECT incident_id, array_agg(sequence ORDER BY sequence) FROM alert_message GROUP BY 1")
    assert all(sequence == list(range(1, len(sequence) + 1)) for _, sequence in told)
    ids = [entry["MessageDeduplicationId"] for entry in sns.taken[IN_ORDER]]
    assert len(ids) == len(set(ids)) == sum(len(sequence) for _, sequence in told)
    for incident_id, sequence in told:
        mine = [each for each in ids if each.startswith(incident_id)]
        assert mine == [f"{incident_id}-{number}" for number in sequence]


def test_devices_of_different_workers_join_one_incident(database: str) -> None:
    sns = PlayedSns()
    workers = [Alert(database, sns) for _ in range(4)]
    now = START + MINUTE

    def fail(number: int) -> None:
        devices = range(number * 250, number * 250 + 250)
        workers[number].take(*[verdict(readings("b"), f"device-{each}") for each in devices], now=now)

    at_once(*(lambda number=number: fail(number) for number in range(4)))
    for worker in workers:
        worker.close()
    assert rows(database, "SELECT devices, open_devices FROM incident") == [(1000, 1000)]
    assert rows(database, "SELECT count(*) FROM incident_device") == [(1000,)]
    assert len(sns.happenings()) <= 5


def test_what_breaches_and_what_is_open_is_watched(alert: Alert) -> None:
    alert.take(verdict(readings("b"), breaches=3, of=5), verdict(readings("b"), "device-2", rule_id="other"))
    assert alert.hints.watched == {("fleet-1", "device-1"): ["hot"], ("fleet-1", "device-2"): ["other"]}
    # What only breached once is soon forgotten. What has an incident stays.
    alert.attend(START + 16 * MINUTE)
    assert alert.hints.watched == {("fleet-1", "device-2"): ["other"]}


def test_a_cache_that_is_away_stops_nothing(alert: Alert) -> None:
    alert.hints.away = True
    alert.take(verdict(readings("b")))
    assert alert.sns.happenings() == ["opened"]


def test_columns_of_a_newer_release_keep_their_values(alert: Alert, database: str) -> None:
    alert.take(verdict(readings("b")))
    with psycopg.connect(database) as connection:
        connection.execute("ALTER TABLE incident ADD COLUMN note text NOT NULL DEFAULT 'kept'")
        connection.execute("UPDATE incident SET note = 'written'")
    alert.take(verdict(readings("..", 1)), verdict(readings("b"), rule_id="other"))
    assert sorted(rows(database, "SELECT state, note FROM incident")) == [("open", "kept"), ("resolved", "written")]


def test_old_incidents_leave_with_all_that_belongs_to_them(alert: Alert, database: str) -> None:
    alert.take(verdict(readings("b..")), verdict(readings("b"), rule_id="other"))
    with connect_as(database, "maintain") as connection:
        gone = Maintenance(connection, 1).forget("incident", "resolved_at", START + timedelta(days=1))
    assert gone == 1
    assert rows(database, "SELECT rule_id FROM incident") == [("other",)]
    assert rows(database, "SELECT count(*) FROM incident_device") == [(1,)]
    assert rows(database, "SELECT count(*) FROM alert_message") == [(1,)]
