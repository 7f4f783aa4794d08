"""Routing and delivering: what is sent where, in which order, and what becomes of what fails."""

import json
from datetime import timedelta

import msgspec
import pytest

from sluice.core.errors import Retryable
from sluice.core.notify.addresses import ForbiddenError
from sluice.core.notify.deliveries import MOST_ATTEMPTS, MOST_RECEIVES, PAUSES
from sluice.core.notify.outcomes import Answer
from sluice.edge.metrics import metrics
from tests.support.alert_messages import OPENED, RESOLVED, make_destination, make_message
from tests.support.played_notify import DELIVERIES, MESSAGES, PlayedNotify, queued

PAGER = make_destination("pager", kind="pagerduty", least_severity="critical")
OPS = make_destination("ops")


@pytest.fixture
def played() -> PlayedNotify:
    return PlayedNotify(OPS, PAGER)


def test_a_message_becomes_a_delivery_for_each_destination_that_wants_it(played: PlayedNotify) -> None:
    assert played.route(OPENED)
    assert played.route(make_message(severity="warning", sequence=2))

    assert played.deliveries.groups == ["ops", "pager", "ops"]
    assert [json.loads(each)["message"]["sequence"] for each in played.deliveries.sent] == [1, 1, 2]
    assert played.poster.posted == []


def test_a_message_that_is_routed_again_is_delivered_once(played: PlayedNotify) -> None:
    assert played.route(OPENED)
    assert played.route(OPENED, receives=2)

    assert played.deliveries.groups == ["ops", "pager"]


@pytest.mark.parametrize("part", ["destinations", "deliveries"])
def test_a_message_that_cannot_be_routed_waits(played: PlayedNotify, part: str) -> None:
    getattr(played, part).away = True

    assert not played.route(OPENED, receives=3)
    assert played.messages.paused == [("r-1", PAUSES[2])]


@pytest.mark.parametrize("queue", [MESSAGES, DELIVERIES])
def test_what_is_no_message_is_a_dead_letter_with_its_reason(played: PlayedNotify, queue: str) -> None:
    assert played.notifying.handle(queued('{"not": "ours"}', queue), OPENED.at)

    assert [each["reason"] for each in played.letters.attributes] == ["unreadable"]
    assert played.letters.sent == ['{"not": "ours"}']


def test_what_no_one_can_read_waits_while_its_dead_letter_cannot_be_written(played: PlayedNotify) -> None:
    played.letters.away = True

    assert not played.notifying.handle(queued("{}", MESSAGES), OPENED.at)
    assert played.messages.paused == [("r-1", PAUSES[0])]


def test_a_message_of_a_later_release_waits_for_it(played: PlayedNotify) -> None:
    assert not played.route(msgspec.structs.replace(OPENED, version=2))
    assert played.letters.sent == []


def test_a_delivery_tells_its_destination_and_reports_it(played: PlayedNotify) -> None:
    assert played.deliver(OPENED)

    ((host, request),) = played.poster.posted
    assert (host, request.headers["x-correlation-id"]) == ("ops.example", "c-0197")
    (report,) = played.reports
    assert report["outcome"] == "delivered"
    assert (report["incident_id"], report["sequence"], report["destination_id"]) == (OPENED.incident_id, 1, "ops")
    assert (report["attempt"], report["status"]) == (1, 200)
    assert metrics.metric_set["NotificationSeconds"]["Value"] == [20.0]


def test_a_delivery_that_comes_again_after_a_crash_is_left_out(played: PlayedNotify) -> None:
    assert played.deliver(OPENED)
    assert played.deliver(OPENED, receives=2)

    assert len(played.poster.posted) == 1
    assert played.outcomes == ["delivered"]


def test_a_message_older_than_what_was_told_is_not_told(played: PlayedNotify) -> None:
    # Its dead letter was sent again after the incident's end: PagerDuty would open another incident.
    assert played.deliver(RESOLVED, "pager")
    assert played.deliver(OPENED, "pager")

    assert len(played.poster.posted) == 1
    assert played.reports[1]["detail"] == "message 2 of this incident was delivered before this one"
    assert played.letters.sent == []


def test_a_number_that_a_restored_database_gives_again_hides_no_end_and_repeats_no_beginning(
    played: PlayedNotify,
) -> None:
    acknowledged = msgspec.structs.replace(OPENED, sequence=2, happening="acknowledged")
    updated = msgspec.structs.replace(OPENED, sequence=3, happening="updated")
    for message in (OPENED, acknowledged, updated):
        assert played.deliver(message, "pager")
    # The acknowledgement and what followed were lost.
    for message in (OPENED, RESOLVED, RESOLVED, OPENED):
        assert played.deliver(message, "pager")

    assert RESOLVED.sequence == 2
    sent = [json.loads(request.body)["event_action"] for _, request in played.poster.posted]
    assert sent == ["trigger", "acknowledge", "trigger", "resolve"]


def test_of_an_incident_with_many_messages_the_latest_are_remembered(played: PlayedNotify) -> None:
    for sequence in range(1, 31):
        assert played.deliver(msgspec.structs.replace(OPENED, sequence=sequence, happening="updated"))
    assert len(played.poster.posted) == 30
    assert played.deliver(OPENED)
    assert len(played.poster.posted) == 30


def test_without_a_memory_of_what_was_told_people_are_told(played: PlayedNotify) -> None:
    played.bucket.away = True

    assert played.deliver(OPENED)
    assert played.outcomes == ["delivered"]


@pytest.mark.shows_fault(part="SNS, webhooks", fault="throttle, 5xx, hang, no name")
@pytest.mark.parametrize(
    "answer",
    [Answer(500), Answer(429), Retryable("no answer"), Retryable("the name was not resolved in time")],
    ids=str,
)
def test_a_failure_is_tried_again_after_a_pause_that_holds_its_destination_alone(
    played: PlayedNotify, answer: Answer | Exception
) -> None:
    played.poster.answers["ops.example"] = [answer]

    assert not played.deliver(OPENED)
    assert played.deliver(OPENED, "pager")
    assert played.deliveries.paused == [("r-1", PAUSES[0])]
    assert played.outcomes == ["failed", "delivered"]


def test_a_destination_is_asked_when_it_said(played: PlayedNotify) -> None:
    played.poster.answers["ops.example"] = [Answer(429, "", "42")]

    assert not played.deliver(OPENED)
    assert played.deliveries.paused == [("r-1", 42)]


def test_after_the_last_attempt_a_delivery_is_a_dead_letter_with_its_reason(played: PlayedNotify) -> None:
    played.poster.answers["ops.example"] = [Answer(503, "maintenance")] * MOST_ATTEMPTS

    done = [played.deliver(OPENED, receives=number) for number in range(1, MOST_ATTEMPTS + 1)]
    assert done == [False] * (MOST_ATTEMPTS - 1) + [True]
    assert played.outcomes == ["failed"] * (MOST_ATTEMPTS - 1) + ["given_up"]
    assert [each["attempt"] for each in played.reports] == list(range(1, MOST_ATTEMPTS + 1))
    assert played.letters.attributes == [{"reason": "given_up", "detail": "ops.example answered 503: maintenance"}]
    assert json.loads(played.letters.sent[0])["destination_id"] == "ops"
    assert played.letters.groups == ["ops"]


def test_waits_of_our_own_use_up_no_attempt_of_a_destination(played: PlayedNotify) -> None:
    played.destinations.away = True
    for number in range(1, MOST_ATTEMPTS + 1):
        assert not played.deliver(OPENED, receives=number)
    played.destinations.away = False
    played.poster.answers["ops.example"] = [Answer(503)] * (MOST_ATTEMPTS - 1)

    for number in range(1, MOST_ATTEMPTS):
        assert not played.deliver(OPENED, receives=MOST_ATTEMPTS + number)
    assert played.deliver(OPENED, receives=2 * MOST_ATTEMPTS)
    assert played.outcomes == ["failed"] * (MOST_ATTEMPTS - 1) + ["delivered"]
    assert {pause for _, pause in played.deliveries.paused[MOST_ATTEMPTS:]} == {PAUSES[-1]}


def test_while_attempts_cannot_be_counted_none_is_the_last(played: PlayedNotify) -> None:
    played.bucket.away = True
    played.poster.answers["ops.example"] = [Answer(503)] * 2

    assert not played.deliver(OPENED, receives=MOST_ATTEMPTS)
    assert not played.deliver(OPENED, receives=MOST_RECEIVES)
    assert played.letters.sent == []


def test_a_dead_letter_that_is_sent_again_has_all_attempts_anew(played: PlayedNotify) -> None:
    played.poster.answers["ops.example"] = [Answer(503)] * (MOST_ATTEMPTS + 1)
    for number in range(1, MOST_ATTEMPTS + 1):
        played.deliver(OPENED, receives=number)
    again = msgspec.structs.replace(queued(played.letters.sent[0], DELIVERIES), message_id="m-again")

    assert not played.notifying.handle(again, OPENED.at)
    assert played.outcomes[-2:] == ["given_up", "failed"]


def test_what_was_told_is_remembered_while_a_later_message_is_tried(played: PlayedNotify) -> None:
    assert played.deliver(OPENED)
    played.poster.answers["ops.example"] = [Answer(503)]
    assert not played.deliver(RESOLVED)

    assert played.deliver(OPENED, receives=2)
    assert played.outcomes == ["delivered", "failed"]


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (Answer(404, "no_service"), "ops.example answered 404: no_service"),
        (Answer(307), "ops.example answered 307: redirects are not followed"),
        (ForbiddenError("ops.example is at 10.0.0.1: a private or reserved address"), "a private or reserved address"),
    ],
    ids=["answer", "redirect", "private"],
)
def test_what_is_refused_is_a_dead_letter_at_once(
    played: PlayedNotify, answer: Answer | Exception, detail: str
) -> None:
    played.poster.answers["ops.example"] = [answer]

    assert played.deliver(OPENED)
    assert played.outcomes == ["refused"]
    assert detail in played.letters.attributes[0]["detail"]


def test_a_dead_letter_that_sqs_does_not_take_stays_a_delivery(played: PlayedNotify) -> None:
    played.poster.answers["ops.example"] = [Answer(404)]
    played.letters.away = True

    assert not played.deliver(OPENED)


def test_a_report_that_is_lost_changes_no_delivery(played: PlayedNotify) -> None:
    played.attempts.away = True

    assert played.deliver(OPENED)
    assert metrics.metric_set["AttemptsUnreported"]["Value"] == [1.0]


def test_a_destination_that_a_process_does_not_know_yet_is_looked_for(played: PlayedNotify) -> None:
    new = make_destination("new")
    played.destinations.newer = (OPS, PAGER, new)
    played.manager.held[new.secret] = '{"url": "https://new.example/a"}'

    assert played.deliver(OPENED, "new")
    assert played.outcomes == ["delivered"]


def test_an_archived_destination_is_told_nothing(played: PlayedNotify) -> None:
    played.destinations.newer = (PAGER,)
    played.destinations.listed = (PAGER,)

    assert played.deliver(OPENED)
    assert played.poster.posted == []
    assert (played.outcomes, played.letters.sent) == (["refused"], [])


def test_a_rotated_secret_is_used_at_the_next_attempt(played: PlayedNotify) -> None:
    assert played.deliver(OPENED)
    played.manager.held[OPS.secret] = '{"url": "https://rotated.example/hook"}'
    played.poster.answers["ops.example"] = [Answer(404, "no_service")]

    assert not played.deliver(RESOLVED)
    assert played.deliver(RESOLVED, receives=2)
    assert [host for host, _ in played.poster.posted] == ["ops.example", "ops.example", "rotated.example"]
    assert played.outcomes == ["delivered", "failed", "delivered"]


def test_a_secret_is_read_again_after_a_while(played: PlayedNotify) -> None:
    for seconds in (0, 200, 301):
        played.clock = seconds
        assert played.deliver(make_message(sequence=seconds + 1))

    assert len(played.manager.asked) == 2


def test_a_secret_that_was_read_is_used_while_no_one_gives_it_out(played: PlayedNotify) -> None:
    assert played.deliver(OPENED)
    played.clock, played.manager.error = 10_000, "InternalServiceError"

    assert played.deliver(RESOLVED)
    assert played.outcomes == ["delivered", "delivered"]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("", "refused"),
        ("InvalidRequestException", "refused"),
        ("ThrottlingException", "failed"),
        ("AccessDeniedException", "failed"),
    ],
    ids=["missing", "deleted", "throttled", "denied"],
)
def test_a_secret_that_cannot_be_read_has_a_clear_outcome(played: PlayedNotify, error: str, outcome: str) -> None:
    played.manager.held.clear()
    played.manager.error = error

    assert played.deliver(OPENED) is (outcome == "refused")
    assert played.outcomes == [outcome]
    if outcome == "refused":
        assert played.reports[0]["detail"] == f"there is no secret {OPS.secret}"


def test_no_report_repeats_a_secret(played: PlayedNotify) -> None:
    played.poster.answers["ops.example"] = [Answer(404, "no hook at /hook-of-ops")]

    assert played.deliver(OPENED)
    assert "hook-of-ops" not in played.attempts.sent[0] + str(played.letters.attributes)


def test_an_incident_is_told_from_its_beginning_to_its_end_in_order(played: PlayedNotify) -> None:
    updated = make_message(happening="updated", sequence=2, at=OPENED.at + timedelta(minutes=1))
    last = msgspec.structs.replace(RESOLVED, sequence=3)
    for message in (OPENED, updated, last):
        assert played.route(message)
    for body in played.deliveries.sent:
        assert played.notifying.handle(queued(body, DELIVERIES), last.at)

    told = [
        json.loads(request.body)["event_action"] for host, request in played.poster.posted if host == "pager.example"
    ]
    assert told == ["trigger", "trigger", "resolve"]
