"""PagerDuty's events, checked by what its documentation says, for any message that alert can write."""

import msgspec
import pytest
from hypothesis import given

from local.receivers import pagerduty
from sluice.core.alerts.messages import AlertMessage
from sluice.core.notify.pagerduty import write_key, write_pagerduty
from tests.support.alert_messages import ANY_MESSAGE, OPENED, RESOLVED, make_message

ROUTING_KEY = "r" * 32


@given(ANY_MESSAGE)
def test_pagerduty_takes_any_message(message: AlertMessage) -> None:
    encoded = msgspec.json.encode(write_pagerduty(message, ROUTING_KEY))

    assert pagerduty.find_errors(msgspec.json.decode(encoded), len(encoded)) == []


@pytest.mark.parametrize(
    ("happening", "action"),
    [
        ("opened", "trigger"),
        ("updated", "trigger"),
        ("escalated", "trigger"),
        ("silence_ended", "trigger"),
        ("acknowledged", "acknowledge"),
        ("resolved", "resolve"),
    ],
)
def test_each_happening_is_pagerdutys_action_for_the_same_incident(happening: str, action: str) -> None:
    event = write_pagerduty(make_message(happening=happening), ROUTING_KEY)

    assert (event["event_action"], event["dedup_key"]) == (action, OPENED.incident_id)


def test_in_their_order_the_messages_of_an_incident_are_one_incident_there() -> None:
    shown = pagerduty.Incidents()

    for message in (OPENED, make_message(happening="updated", sequence=2), RESOLVED):
        shown.take(write_pagerduty(message, ROUTING_KEY))

    assert shown.opened == [(OPENED.incident_id, "resolved")]


def test_a_long_id_is_a_key_of_pagerdutys_length() -> None:
    assert len(write_key("i" * 300)) <= pagerduty.MOST_KEY
    assert write_key("i" * 300) != write_key("i" * 301)
