"""The floor below which samples are dropped."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from sluice.core.rollups.retention import Terms, place_floor

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
TERMS = Terms(sample=26 * HOUR, waiting_sample=72 * HOUR, change=DAY, outcome=DAY, sighting=DAY, summary=DAY)


@pytest.mark.parametrize(
    ("waiting", "floor"),
    [
        (None, datetime(2026, 11, 19, 10, tzinfo=UTC)),
        # What waits is younger than the term: nothing changes.
        (NOW - 3 * HOUR, datetime(2026, 11, 19, 10, tzinfo=UTC)),
        # Older: its hour stays.
        (NOW - 30 * HOUR, datetime(2026, 11, 19, 6, tzinfo=UTC)),
        # Too old: the disk is finite.
        (NOW - 300 * HOUR, datetime(2026, 11, 17, 12, tzinfo=UTC)),
    ],
)
def test_samples_stay_for_their_term_and_longer_while_a_window_waits_for_them(
    waiting: datetime | None, floor: datetime
) -> None:
    assert place_floor(NOW, waiting, TERMS) == floor


def test_the_floor_is_a_full_hour_in_utc_wherever_the_clock_is() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert place_floor(elsewhere, None, TERMS) == datetime(2026, 11, 19, 10, tzinfo=UTC)
