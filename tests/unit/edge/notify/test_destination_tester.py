"""An admin's test of a destination: what is sent, and what the admin is told."""

import json
from typing import Any

import jsonschema
import pytest

from sluice.core.errors import Retryable
from sluice.core.notify.addresses import ForbiddenError
from sluice.core.notify.destination_test import DestinationTestRequest, DestinationTestResult
from sluice.core.notify.outcomes import Answer
from tests.contracts.test_alerts import SCHEMA
from tests.support.alert_messages import OPENED_AT, make_destination
from tests.support.played_notify import PlayedNotify

OPS = make_destination("ops")
OWN = make_destination("own", kind="https", fleet_id="demo", least_severity="critical")
PAGER = make_destination("pager", kind="pagerduty")


@pytest.fixture
def played() -> PlayedNotify:
    return PlayedNotify(OPS, OWN, PAGER)


def ask(played: PlayedNotify, name: str, version: int = 1) -> DestinationTestResult:
    asked = DestinationTestRequest(destination_id=name, version=version, stage="prod", correlation_id="c-1")
    return played.tester.test(asked, OPENED_AT)


def bodies(played: PlayedNotify) -> list[dict[str, Any]]:
    return [json.loads(request.body) for _, request in played.poster.posted]


def test_slack_gets_one_message_that_says_that_it_is_a_test(played: PlayedNotify) -> None:
    tested = ask(played, "ops")

    assert (tested.outcome, tested.status, tested.detail) == ("delivered", 200, "ops.example answered 200")
    (body,) = bodies(played)
    assert body["text"] == "🔧 Test: this destination is notified of incidents. There is none now"
    assert "An admin tested the destination ops. There is no incident." in json.dumps(body)
    assert (played.deliveries.sent, played.attempts.sent, played.bucket.held) == ([], [], {})


def test_what_a_test_opens_at_pagerduty_it_resolves_under_its_own_key(played: PlayedNotify) -> None:
    tested = ask(played, "pager")

    opened, resolved = bodies(played)
    assert (opened["event_action"], resolved["event_action"]) == ("trigger", "resolve")
    assert opened["dedup_key"] == resolved["dedup_key"]
    assert tested.detail.endswith(f"an incident {opened['dedup_key']} was opened there and resolved again")
    ask(played, "own")
    assert bodies(played)[-1]["incident_id"] != opened["dedup_key"]


def test_messages_to_a_server_keep_the_contract_and_are_marked(played: PlayedNotify) -> None:
    ask(played, "own")

    opened, resolved = bodies(played)
    for body in (opened, resolved):
        jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(body)
        assert (body["test"], body["stage"], body["fleet_id"], body["severity"]) == (True, "prod", "demo", "critical")
    assert [(each["happening"], each["sequence"]) for each in (opened, resolved)] == [("opened", 1), ("resolved", 2)]


def test_what_is_opened_and_not_resolved_is_said(played: PlayedNotify) -> None:
    played.poster.answers["pager.example"] = [Answer(202), Answer(503)]
    tested = ask(played, "pager")

    assert (tested.outcome, tested.status) == ("failed", 503)
    assert "was opened there and NOT resolved: resolve it there by hand" in tested.detail


@pytest.mark.parametrize(
    ("answer", "outcome", "detail"),
    [
        (Answer(302), "refused", "own.example answered 302: redirects are not followed"),
        (Answer(404, "no such hook-of-own"), "refused", "own.example answered 404: no such (hidden)"),
        (Answer(429), "failed", "own.example answered 429"),
        (ForbiddenError("own.example is at 10.0.0.1: a private or reserved address"), "refused", "private"),
        (Retryable("own.example cannot be reached: the name was not resolved in time"), "failed", "not resolved"),
    ],
)
def test_one_attempt_is_made_and_its_failure_explained(
    played: PlayedNotify, answer: Answer | Exception, outcome: str, detail: str
) -> None:
    played.poster.answers["own.example"] = [answer]
    tested = ask(played, "own")

    assert tested.outcome == outcome
    assert detail in tested.detail
    assert len(played.poster.posted) == 1


def test_a_secret_that_was_repaired_is_read_at_once(played: PlayedNotify) -> None:
    played.manager.held[OPS.secret] = "{}"
    assert ask(played, "ops").detail == "the secret has no url"
    played.manager.held[OPS.secret] = '{"url": "https://ops.example/another"}'
    assert ask(played, "ops").outcome == "delivered"
    del played.manager.held[OPS.secret]
    missing = ask(played, "ops")
    assert (missing.outcome, missing.detail) == ("refused", f"there is no secret {OPS.secret}")
    assert len(played.poster.posted) == 1


def test_a_destination_that_is_not_yet_published_is_looked_for_once_more(played: PlayedNotify) -> None:
    changed = make_destination("ops", version=2)
    assert "does not have this version of the destination" in ask(played, "ops", version=2).detail
    played.destinations.newer = (changed,)
    assert ask(played, "ops", version=2).outcome == "delivered"


def test_what_is_away_is_named(played: PlayedNotify) -> None:
    played.manager.error = "ServiceUnavailable"
    assert "Secrets Manager" in ask(played, "ops").detail
    played.destinations.away = True
    assert ask(played, "ops") == DestinationTestResult(outcome="failed", detail="no destinations are published")
