"""What may be asked about an event, by readers and by operators, within bounds."""

from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from infra.profiles.baseline import BASELINE
from sluice.core.errors import Refusal
from sluice.core.trace.lake_search import EventSearch
from sluice.core.trace.outcomes import Asked
from sluice.core.trace.question import MOST_DAYS, MOST_DAYS_OF_OPERATORS, read_address, read_call, where_to_look

NOW = datetime(2026, 11, 20, 0, 30, tzinfo=UTC)
TODAY, YESTERDAY = date(2026, 11, 20), date(2026, 11, 19)
ID = "4f6c1f52-8d3e-4b57-9a43-6c1f0f0f7d21"


def ask(event_id: str = ID, **parameters: str) -> Asked:
    named = {name.removesuffix("_"): value for name, value in parameters.items()}
    return read_address({"event_id": event_id}, urlencode(named), "demo", NOW)


def test_without_days_it_is_looked_for_among_what_came_yesterday_and_today() -> None:
    assert ask() == Asked(ID, "demo", None, YESTERDAY, TODAY)
    assert ask(to="2026-03-01") == Asked(ID, "demo", None, date(2026, 2, 28), date(2026, 3, 1))
    assert ask(from_="2026-11-15") == Asked(ID, "demo", None, date(2026, 11, 15), TODAY)


def test_a_uuid_is_the_same_in_capitals_and_another_id_is_not() -> None:
    assert ask(ID.upper()).event_id == ID
    assert ask("Reading-A").event_id == "Reading-A"


def test_a_day_more_is_looked_through_than_was_asked_about() -> None:
    asked = ask(device_id="press-1", from_="2026-03-01", to="2026-03-02")
    wanted = where_to_look(asked, "c-1")
    assert wanted == EventSearch(ID, "demo", "press-1", date(2026, 3, 1), date(2026, 3, 3), "c-1")
    assert wanted.parameters() == [ID, "demo", "demo", "press-1", "press-1", "2026-03-01", "2026-03-03"]


@pytest.mark.parametrize("event_id", ["", " x", "x" * 129, "a\x1b[2J", "a\nb", "a\x00", "\ud800", "\u202ex"])
def test_what_no_event_can_be_called_is_refused(event_id: str) -> None:
    with pytest.raises(Refusal) as refused:
        ask(event_id)
    assert (refused.value.status, refused.value.code) == (400, "invalid_event_id")
    with pytest.raises(Refusal):
        read_call({"event_id": event_id}, NOW)


def test_an_id_of_the_most_characters_is_taken_with_any_printable_text() -> None:
    assert ask("x" * 128).event_id == "x" * 128
    assert ask("' OR 1=1 --").event_id == "' OR 1=1 --"


@pytest.mark.parametrize(
    ("parameters", "parameter"),
    [
        ({"from_": "2026-11-21"}, "from"),
        ({"from_": "2026-11-20", "to": "2026-11-19"}, "from"),
        ({"from_": "2026-08-01"}, "from"),
        ({"from_": "2026-02-30"}, "from"),
        ({"from_": "20260201"}, "from"),
        ({"to": "today"}, "to"),
        ({"to": "1999-12-31"}, "to"),
        ({"to": "9999-12-31"}, "to"),
        ({"to": "\uff12026-01-01"}, "to"),
        ({"device_id": "x" * 129}, "device_id"),
        ({"device_id": ""}, "device_id"),
        ({"device": "press-1"}, "device"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(parameters: dict[str, str], parameter: str) -> None:
    with pytest.raises(Refusal) as refused:
        ask(**parameters)
    assert (refused.value.status, refused.value.parameter) == (400, parameter)


def test_a_reader_asks_about_a_week_at_most_and_an_operator_about_as_many_days_as_raw_is_kept() -> None:
    assert MOST_DAYS == 7
    assert BASELINE.retention.raw_days == MOST_DAYS_OF_OPERATORS
    assert ask(from_="2026-11-14").first == date(2026, 11, 14)
    with pytest.raises(Refusal, match="in 7 days"):
        ask(from_="2026-11-13")
    assert ask(from_="2026-03-01", to="2026-03-07").last == date(2026, 3, 7)
    assert read_call({"event_id": ID, "from": "2026-08-23"}, NOW).first == date(2026, 8, 23)
    with pytest.raises(Refusal, match="in 90 days"):
        read_call({"event_id": ID, "from": "2026-08-22"}, NOW)


def test_an_operator_asks_of_one_fleet_or_of_all() -> None:
    assert read_call({"event_id": ID}, NOW) == Asked(ID, None, None, YESTERDAY, TODAY)
    call = {"event_id": ID.upper(), "fleet_id": "acme", "device_id": "p", "from": "2026-03-01", "to": "2026-03-02"}
    assert read_call(call, NOW) == Asked(ID, "acme", "p", date(2026, 3, 1), date(2026, 3, 2))


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ({}, "invalid_call"),
        ({"event_id": 7}, "invalid_call"),
        ({"event_id": ID, "fleet": "acme"}, "invalid_call"),
        ({"event_id": ID, "device_id": "a\x00"}, "invalid_parameter"),
        ({"event_id": ID, "fleet_id": "x" * 64}, "invalid_parameter"),
        ({"event_id": ID, "from": "2026-11-20T00:00:00Z"}, "invalid_parameter"),
    ],
)
def test_an_operators_call_is_read_as_strictly(call: dict[str, Any], code: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_call(call, NOW)
    assert refused.value.code == code
