from datetime import UTC, datetime, timedelta

import pytest

from sluice.core.query.paging import MOST_ITEMS, Page, cut_page, split_page
from sluice.core.query.questions import PageSpan
from sluice.core.rollups.resolutions import MOST_ROWS

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


def span(minutes: int, at: int = 0) -> PageSpan:
    start = int(NOON.timestamp())
    return PageSpan("1m", start, start + 60 * minutes, start + 60 * at)


@pytest.mark.parametrize(
    ("limit", "series", "members", "windows"),
    [
        (7, 1, 1, 7),
        (1500, 4, 1, 1500),
        (1500, 20, 1, MOST_ITEMS // 20),
        (1500, 4, 100, MOST_ROWS["1m"] // 100),
        (1500, 4, MOST_ROWS["1m"] + 1, 1),
        (1500, MOST_ITEMS + 1, 1, 1),
    ],
)
def test_a_page_is_as_long_as_an_answer_can_be_and_never_empty(
    limit: int, series: int, members: int, windows: int
) -> None:
    page = cut_page(span(2000), limit, series, members, ALWAYS)
    assert (page.start, page.windows()) == (NOON, windows)


def test_pages_follow_each_other_to_the_end_of_the_range() -> None:
    assert cut_page(span(20, at=15), 10, 1, 1, ALWAYS) == Page("1m", NOON + 15 * MINUTE, NOON + 20 * MINUTE)


def test_a_page_ends_where_the_rows_in_the_database_begin() -> None:
    kept_from = NOON + 3.5 * MINUTE
    assert cut_page(span(20), 10, 1, 1, kept_from).end == NOON + 4 * MINUTE
    assert cut_page(span(20, at=4), 10, 1, 1, kept_from).end == NOON + 14 * MINUTE


def test_a_page_is_shortened_to_one_window_at_least() -> None:
    page = cut_page(span(20), 10, 1, 1, ALWAYS)
    assert [page.shortened(most).windows() for most in (0, 4, 50)] == [1, 4, 10]


@pytest.mark.parametrize(
    ("complete_until", "parts"),
    [
        (None, [(False, 0, 4)]),
        (NOON - MINUTE, [(False, 0, 4)]),
        (NOON + 2 * MINUTE, [(True, 0, 2), (False, 2, 4)]),
        (NOON + 9 * MINUTE, [(True, 0, 4)]),
    ],
)
def test_a_page_is_split_where_windows_stop_being_closed(
    complete_until: datetime | None, parts: list[tuple[bool, int, int]]
) -> None:
    page = Page("1m", NOON, NOON + 4 * MINUTE)
    split = [
        (closed, (start - NOON) // MINUTE, (end - NOON) // MINUTE)
        for closed, start, end in split_page(page, complete_until)
    ]
    assert split == parts
