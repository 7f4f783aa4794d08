"""The words about incidents: what happened, where, since when, how bad, why, and what to do."""

from datetime import timedelta

import pytest

from sluice.core.notify.wording import describe, write_duration, write_headline
from tests.support.alert_messages import OPENED, OPENED_AT, RESOLVED, make_message

MANY = ("press-1", "press-2", "press-3", "press-4", "press-5")


@pytest.mark.parametrize(
    ("changes", "headline"),
    [
        ({}, "Critical: bearing_temperature of press-00017 is above 85 degC"),
        (
            {"happening": "updated", "devices": 412, "examples": MANY},
            "Critical, update: bearing_temperature of 412 devices is above 85 degC",
        ),
        (
            {"happening": "escalated", "escalated_minutes": 15},
            "Critical, not acknowledged for 15 minutes: bearing_temperature of press-00017 is above 85 degC",
        ),
        ({"happening": "acknowledged"}, "Acknowledged: bearing_temperature of press-00017 is above 85 degC"),
        (
            {"happening": "silence_ended", "kind": "stuck", "severity": "warning"},
            "Warning, still so after the silence: bearing_temperature of press-00017 has stopped varying",
        ),
        ({"kind": "silence", "metric": ""}, "Critical: press-00017 sends no readings"),
        ({"kind": "silence", "metric": "", "devices": 40, "examples": MANY}, "Critical: 40 devices send no readings"),
    ],
)
def test_a_headline_says_what_happened(changes: dict[str, object], headline: str) -> None:
    assert write_headline(make_message(**changes)) == headline


def test_an_end_is_told_with_its_duration() -> None:
    said = describe(RESOLVED)

    assert said.headline == "Resolved: bearing_temperature of press-00017 was above 85 degC"
    assert said.since == "2026-11-30 06:12 to 2026-11-30 06:58 UTC (46 minutes)"
    assert said.what_to_do.startswith("Nothing.")


def test_many_devices_are_counted_and_some_named() -> None:
    said = describe(make_message(devices=412, examples=MANY))

    assert said.where == "fleet demo: 412 devices: press-1, press-2, press-3, press-4, press-5 and 407 more"
    assert said.what_to_do.startswith("Look for what these devices share")


def test_who_is_woken_gets_the_commands_to_know_more_and_to_stop_it() -> None:
    assert describe(OPENED).commands == (
        "sluice alerts show 4f0c2f3b9a1d5e6077c1a2b3 --stage prod",
        "sluice alerts acknowledge 4f0c2f3b9a1d5e6077c1a2b3 --stage prod",
        "sluice trace 0197-a1 --stage prod",
    )


@pytest.mark.parametrize(
    ("duration", "said"),
    [
        (timedelta(seconds=59), ""),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(hours=2), "2 hours"),
        (timedelta(days=1, hours=3, minutes=7), "1 day 3 hours"),
        (timedelta(days=2, minutes=7), "2 days 7 minutes"),
    ],
)
def test_a_duration_has_two_units(duration: timedelta, said: str) -> None:
    assert write_duration(duration) == said


def test_since_says_how_long_ago() -> None:
    assert describe(make_message(at=OPENED_AT + timedelta(minutes=20))).since == "2026-11-30 06:12 UTC (20 minutes ago)"


@pytest.mark.parametrize("address", ["", "javascript:alert(1)", "data:text/html,x", "//sluice.example/"])
def test_only_the_address_of_a_page_becomes_a_link(address: str) -> None:
    assert describe(make_message(dashboard=address)).link == ""
    for page in ("https://api.example/#fleet=demo", "http://127.0.0.1:8080/#fleet=demo"):
        assert describe(make_message(dashboard=page)).link == page
