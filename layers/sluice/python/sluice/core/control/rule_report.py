"""What each version of a rule promised, and how many incidents it has opened since it is in force."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from sluice.core.backtest.results import rate
from sluice.core.times import write_optional, write_time

DAY = timedelta(days=1)
LOOKS_BACK = timedelta(days=30)
"""Incidents are kept for longer; but days of devices must be counted while an admin waits."""


class RuleVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a rule, and for how long it was in force."""

    rule_id: str
    version: int
    since: datetime
    until: datetime | None = None
    """None: it is in force."""
    promise: dict[str, Any] | None = None
    """None of a default, and of what a release before promises saved."""


class ReportedIncident(msgspec.Struct, frozen=True):
    """An incident of a rule."""

    rule_id: str
    opened_at: datetime
    false_alarm: bool


def follow_versions(
    rule_id: str,
    created_at: datetime,
    archived_at: datetime | None,
    current: int,
    saved: Sequence[tuple[int, datetime, dict[str, Any]]],
) -> list[RuleVersion]:
    """Follow the versions of a rule: each is in force until the next one is saved, or the rule archived."""
    known = list(saved)
    if not known or known[0][0] > 1:
        # An earlier release saved it: the versions before the first promise stand as one.
        known.insert(0, (known[0][0] - 1 if known else current, created_at, {}))
    ends = [asked_at for _, asked_at, _ in known[1:]]
    return [
        RuleVersion(rule_id=rule_id, version=version, since=since, until=until, promise=promise or None)
        for (version, since, promise), until in zip(known, [*ends, archived_at], strict=True)
    ]


def report_version(
    version: RuleVersion, opened: Iterable[ReportedIncident], days: Mapping[datetime, int], now: datetime
) -> dict[str, Any] | None:
    """Report a version, from the days of its devices and its incidents; None if it ended before the report begins."""
    since, until = max(version.since, now - LOOKS_BACK), version.until or now
    if until <= since:
        return None
    own = [one for one in opened if one.rule_id == version.rule_id and since <= one.opened_at and one.opened_at < until]
    device_days = round(
        sum(many * _share(day, since, until, now) for day, many in days.items()),
        2,
    )
    return {
        "rule_id": version.rule_id,
        "version": version.version,
        "from": write_time(since),
        "to": write_optional(version.until),
        "promise": version.promise,
        "device_days": device_days,
        "incidents": len(own),
        "incidents_per_100_device_days": rate(len(own), device_days),
        "false_alarms": sum(one.false_alarm for one in own),
    }


def _share(day: datetime, since: datetime, until: datetime, now: datetime) -> float:
    """Return which share of a day lies within a time; today lasts until now."""
    begins, ends = max(day, since), min(day + DAY, until, now)
    return max(ends - begins, timedelta(0)) / DAY
