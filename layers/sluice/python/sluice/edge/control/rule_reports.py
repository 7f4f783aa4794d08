"""Admins' requests about what rules promised and which incidents they have opened."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from sluice.core.control.fleets import Fleet
from sluice.core.control.requests import AdminRequest
from sluice.core.control.rule_report import LOOKS_BACK, ReportedIncident, RuleVersion, follow_versions, report_version
from sluice.core.control.rules import MOST_OF_FLEET, Rule
from sluice.core.detect.defaults import DEFAULT, list_defaults
from sluice.core.detect.series_rules import SeriesRule
from sluice.core.events.units import SeriesBook
from sluice.core.query.parameters import Parameters
from sluice.edge.control.backtest_rows import find_all_promises
from sluice.edge.control.rule_rows import list_rules
from sluice.edge.control.store import ControlStore, Rows

_INCIDENTS = "SELECT rule_id, opened_at, false_alarm FROM incident WHERE fleet_id = %s AND opened_at >= %s"
# Days that are over. Silence is judged of a device as a whole: its series is "". A device without a type of its own has
# its fleet's, as for detect. Devices may have dozens of series, and rules are for a few: only these are counted.
_DAYS = """
    WITH wanted AS MATERIALIZED (
        SELECT metric_key, name FROM metric WHERE name = ANY(%(series)s)
    ), device AS NOT MATERIALIZED (
        SELECT entity_key, e.device_id, coalesce(t.device_type, %(fleet_type)s::text) AS device_type FROM entity AS e
        LEFT JOIN device_type AS t ON t.fleet_id = e.fleet_id AND t.device_id = e.device_id COLLATE "C"
        WHERE e.fleet_id = %(fleet)s AND e.device_id IS NOT NULL
    ), day AS (
        SELECT device_id, device_type, window_start, metric_keys FROM device JOIN rollup_1d USING (entity_key)
        WHERE window_start >= %(since)s AND window_start < %(today)s
        UNION ALL
        -- Today: the newest minute of each device shows which series it sends.
        SELECT device_id, device_type, %(today)s, newest.metric_keys
        FROM device CROSS JOIN LATERAL (
            SELECT metric_keys FROM rollup_1m
            WHERE rollup_1m.entity_key = device.entity_key AND window_start >= %(today)s
            ORDER BY window_start DESC LIMIT 1
        ) AS newest
    ), named AS (
        SELECT device_id, device_type, window_start, name FROM day JOIN wanted ON metric_key = ANY(metric_keys)
        UNION ALL
        SELECT device_id, device_type, window_start, '' FROM day
    )
    SELECT NULL, NULL, name, window_start, count(*) FROM named GROUP BY name, window_start
    UNION ALL
    SELECT device_type, NULL, name, window_start, count(*) FROM named WHERE device_type = ANY(%(types)s)
    GROUP BY device_type, name, window_start
    UNION ALL
    SELECT NULL, device_id, name, window_start, 1 FROM named WHERE device_id = ANY(%(devices)s)
"""

Days = Mapping[tuple[str | None, str | None, str], Mapping[datetime, int]]
"""How many devices sent a series on each day: all of the fleet, those of a type, or a single one."""


class RuleReports(msgspec.Struct, frozen=True):
    """What became of promises."""

    store: ControlStore
    book: SeriesBook

    def report(self, request: AdminRequest) -> dict[str, Any]:
        """Report each version of a fleet's rules, and the defaults that have opened incidents."""
        Parameters(request.query, known=())
        since = request.now - LOOKS_BACK
        with self.store.reading() as rows:
            fleet = rows.fleet(request.path["fleet"])
            rules = _list_rules(rows, fleet.fleet_id, since)
            promises = find_all_promises(rows, fleet.fleet_id, rules)
            found = rows.connection.execute(_INCIDENTS, [fleet.fleet_id, since])
            opened = [ReportedIncident(*row) for row in found]
            defaults = _find_defaults(fleet.fleet_id, self.book, opened)
            days = _read_days(rows, fleet, rules, defaults, since, request.now)
        items = []
        for rule in rules:
            saved = [
                (version, datetime.fromisoformat(promise["asked_at"]), promise)
                for (rule_id, version), promise in promises.items()
                if rule_id == rule.rule_id
            ]
            there = days.get((rule.device_type, rule.device_id, rule.metric), {})
            versions = follow_versions(rule.rule_id, rule.created_at, rule.archived_at, rule.version, saved)
            items += [report_version(each, opened, there, request.now) for each in versions]
        for default in defaults:
            version = RuleVersion(rule_id=default.rule_id, version=1, since=since)
            items.append(report_version(version, opened, days.get((None, None, default.metric), {}), request.now))
        return {"items": [item for item in items if item is not None], "next_cursor": None}


def _list_rules(rows: Rows, fleet_id: str, since: datetime) -> list[Rule]:
    """List the rules that have judged since a moment."""
    found: list[Rule] = []
    page = list_rules(rows, fleet_id, "", MOST_OF_FLEET)
    while page:
        found += [rule for rule in page if rule.archived_at is None or rule.archived_at > since]
        page = list_rules(rows, fleet_id, page[-1].rule_id, MOST_OF_FLEET)
    return found


def _find_defaults(fleet_id: str, book: SeriesBook, opened: list[ReportedIncident]) -> list[SeriesRule]:
    """List the defaults that have opened incidents."""
    by_default = {one.rule_id for one in opened if one.rule_id.startswith(DEFAULT)}
    return [rule for rule in list_defaults(fleet_id, book.series) if rule.rule_id in by_default]


def _read_days(
    rows: Rows, fleet: Fleet, rules: list[Rule], defaults: list[SeriesRule], since: datetime, now: datetime
) -> Days:
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    asked = {
        "fleet": fleet.fleet_id,
        "fleet_type": fleet.device_type,
        "since": since.replace(hour=0, minute=0, second=0, microsecond=0),
        "today": today,
        "series": sorted({rule.metric for rule in rules} | {rule.metric for rule in defaults}),
        "types": sorted({rule.device_type for rule in rules if rule.device_type is not None}),
        "devices": sorted({rule.device_id for rule in rules if rule.device_id is not None}),
    }
    found: defaultdict[tuple[str | None, str | None, str], dict[datetime, int]] = defaultdict(dict)
    for device_type, device_id, metric, day, many in rows.connection.execute(_DAYS, asked):
        found[device_type, device_id, metric][day] = many
    return found
