"""Readers ask about the dead letters of a few whole days."""

from datetime import UTC, date, datetime

import pytest

from sluice.core.errors import Refusal
from sluice.core.query.letter_groups import LetterDays, read_letter_days
from tests.support.samples import NOW


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ("", date(2026, 11, 19), date(2026, 11, 20)),
        ("from=2026-11-20", date(2026, 11, 20), date(2026, 11, 20)),
        ("to=2026-11-01", date(2026, 10, 31), date(2026, 11, 1)),
        ("from=2026-11-14&to=2026-11-20", date(2026, 11, 14), date(2026, 11, 20)),
    ],
)
def test_without_days_they_are_yesterday_and_today(query: str, first: date, last: date) -> None:
    assert read_letter_days("demo", query, NOW) == LetterDays("demo", first, last)


@pytest.mark.parametrize("query", ["from=2026-11-13", "from=2026-11-21", "from=today", "to=2026-11-20T10:00:00Z"])
def test_more_days_than_are_read_and_what_is_no_day_are_refused(query: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_letter_days("demo", query, NOW)
    assert refused.value.code == "invalid_parameter"


def test_redrive_is_asked_for_the_fleet_and_for_whole_days() -> None:
    asked = LetterDays("demo", date(2026, 11, 19), date(2026, 11, 20)).write_question()
    assert asked == {
        "step": "fleet_groups",
        "asked": {
            "fleet_id": "demo",
            "from": datetime(2026, 11, 19, tzinfo=UTC),
            "to": datetime(2026, 11, 21, tzinfo=UTC),
        },
    }
