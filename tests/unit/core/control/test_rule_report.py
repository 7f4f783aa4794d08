"""Which versions a rule had, for how long, and how many incidents each has opened on how many days of devices."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluice.core.control.rule_report import (
    LOOKS_BACK,
    ReportedIncident,
    RuleVersion,
    follow_versions,
    report_version,
)

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MADE = NOW - 10 * DAY
PROMISE: dict[str, Any] = {"state": "done", "incidents": 1}


@pytest.mark.parametrize(
    ("saved", "current", "archived", "versions"),
    [
        ([(1, MADE)], 1, None, [(1, MADE, None, True)]),
        ([(1, MADE), (2, NOW - DAY)], 2, None, [(1, MADE, NOW - DAY, True), (2, NOW - DAY, None, True)]),
        ([(1, MADE)], 2, NOW - DAY, [(1, MADE, NOW - DAY, True)]),
        ([], 3, None, [(3, MADE, None, False)]),
        ([(4, NOW - DAY)], 4, None, [(3, MADE, NOW - DAY, False), (4, NOW - DAY, None, True)]),
    ],
    ids=["one", "two", "archived", "of an earlier release", "changed since an earlier release"],
)
def test_a_version_is_in_force_until_the_next_one(
    saved: list[tuple[int, datetime]],
    current: int,
    archived: datetime | None,
    versions: list[tuple[int, datetime, datetime | None, bool]],
) -> None:
    found = follow_versions("hot", MADE, archived, current, [(number, at, PROMISE) for number, at in saved])
    assert [(each.version, each.since, each.until, each.promise is not None) for each in found] == versions


def report(opened: list[ReportedIncident], days: dict[datetime, int], **changed: Any) -> dict[str, Any] | None:
    given: dict[str, Any] = {"rule_id": "hot", "version": 1, "since": MADE} | changed
    return report_version(RuleVersion(**given), opened, days, NOW)


def test_incidents_count_for_the_version_in_force_when_they_opened() -> None:
    opened = [
        ReportedIncident("hot", MADE - HOUR, false_alarm=False),
        ReportedIncident("hot", MADE, false_alarm=True),
        ReportedIncident("hot", NOW - 2 * DAY, false_alarm=False),
        ReportedIncident("hot", NOW - DAY, false_alarm=True),
        ReportedIncident("cold", NOW - 2 * DAY, false_alarm=True),
    ]
    found = report(opened, {}, until=NOW - DAY)
    assert found is not None
    assert (found["incidents"], found["false_alarms"]) == (2, 1)
    assert (found["device_days"], found["incidents_per_100_device_days"]) == (0.0, None)


def test_days_count_as_far_as_the_version_was_in_force_and_today_as_far_as_it_is_over() -> None:
    midnight = NOW.replace(hour=0)
    days = {MADE.replace(hour=0): 10, midnight - 3 * DAY: 10, midnight: 10, MADE.replace(hour=0) - DAY: 10}
    found = report([ReportedIncident("hot", NOW - HOUR, false_alarm=False)], days)
    assert found is not None
    assert (found["device_days"], found["incidents_per_100_device_days"]) == (5 + 10 + 5, 5.0)


def test_it_looks_back_for_some_weeks() -> None:
    old = ReportedIncident("hot", NOW - LOOKS_BACK - HOUR, false_alarm=False)
    since = NOW - 2 * LOOKS_BACK
    found = report([old], {NOW.replace(hour=0) - LOOKS_BACK: 4}, since=since)
    assert found is not None
    # Of the first day, half.
    assert (found["incidents"], found["device_days"]) == (0, 2.0)
    assert found["from"] == "2026-10-31T12:00:00.000000Z"
    assert report([old], {}, since=since, until=NOW - LOOKS_BACK) is None
