"""Readers ask about incidents of a range that stays the same from page to page."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from sluice.core.errors import Refusal
from sluice.core.query.cursors import write_cursor
from sluice.core.query.incidents import IncidentPlace, name_incident, read_incidents
from tests.support.samples import NOW

INCIDENT = "0123456789abcdef01234567"


def test_without_a_range_it_is_that_of_the_last_days_and_of_clocks_that_are_a_little_ahead() -> None:
    asked = read_incidents("demo", "", NOW)
    ahead = timedelta(minutes=5)
    assert (asked.start, asked.end) == (NOW + ahead - timedelta(days=7), NOW + ahead)
    assert (asked.state, asked.severity, asked.kind, asked.device_id, asked.metric) == ("all", "all", "all", None, None)


def test_a_cursor_goes_on_with_the_range_and_the_incident_of_its_page() -> None:
    asked = read_incidents("demo", "device=press-1&from=2026-11-01T00:00:00Z", NOW)
    cursor = asked.goes_on(NOW - timedelta(days=3), INCIDENT)
    later = read_incidents("demo", f"device=press-1&cursor={cursor}", NOW + timedelta(days=9))
    assert (later.start, later.end) == (datetime(2026, 11, 1, tzinfo=UTC), asked.end)
    assert later.after is not None
    assert (later.after.opened_at, later.after.incident_id) == (NOW - timedelta(days=3), INCIDENT)


@pytest.mark.parametrize("query", ["", "device=press-2", "device=press-1&state=open", "device=press-1&severity=info"])
def test_a_cursor_of_another_question_is_refused(query: str) -> None:
    cursor = read_incidents("demo", "device=press-1", NOW).goes_on(NOW, INCIDENT)
    for fleet in ("demo", "other"):
        with pytest.raises(Refusal) as refused:
            read_incidents(fleet, f"{query}&cursor={cursor}", NOW)
        assert refused.value.code == "invalid_cursor"


def test_a_cursor_with_what_no_answer_has_is_refused() -> None:
    asked = read_incidents("demo", "", NOW)
    place = IncidentPlace(NOW, NOW, NOW, INCIDENT)
    naive = NOW.replace(tzinfo=None)
    for wrong in (msgspec.structs.replace(place, start=naive), msgspec.structs.replace(place, incident_id="'; --")):
        with pytest.raises(Refusal):
            read_incidents("demo", f"cursor={write_cursor(asked.name(), wrong)}", NOW)


@pytest.mark.parametrize(
    "query",
    [
        "state=closed",
        "severity=bad",
        "kind=any",
        "limit=0",
        "since=1",
        "from=2026-11-20",
        "from=2026-11-20T00:00:00Z&to=2026-11-19T00:00:00Z",
        "from=2020-01-01T00:00:00Z",
    ],
)
def test_what_cannot_be_asked_is_refused(query: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_incidents("demo", query, NOW)
    assert refused.value.status == 400


@pytest.mark.parametrize("text", ["", "0" * 23, "0" * 25, "G" * 24, INCIDENT + "\n", "\0"])
def test_what_can_be_no_incident_is_unknown(text: str) -> None:
    assert name_incident(INCIDENT) == INCIDENT
    with pytest.raises(Refusal) as refused:
        name_incident(text)
    assert (refused.value.status, refused.value.code) == (404, "unknown_incident")
