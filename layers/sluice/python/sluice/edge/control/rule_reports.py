"""Admins' requests about what rules promised and what they have raised."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from sluice.core.control.requests import AdminRequest
from sluice.core.control.rule_report import LOOKS_BACK, RaisedIncident, RuleVersion, follow_versions, report_version
from sluice.core.control.rules import MOST_OF_FLEET, Rule
from sluice.core.detect.defaults import DEFAULT
from sluice.core.query.parameters import Parameters
from sluice.edge.control.backtest_rows import find_all_promises
from sluice.edge.control.rule_rows import list_rules
from sluice.edge.control.store import ControlStore, Rows

_INCIDENTS = "SELECT rule_id, opened_at, false_alarm FROM incident WHERE fleet_id = %s AND opened_at >= %s"
# Days that are over. Silence is judged of a device as a whole: its series is "".
# Devices may have dozens of series, and rules are for a few: only these are counted.
_DAYS = """
    WITH wanted AS MATERIALIZED (
        SELECT metric_key, name FROM metric
        WHERE name = ANY(%(series)s) OR replace(name, '_', '-') = ANY(%(defaults)s)
    ), day AS (
        SELECT entity_key, device_id, window_start, metric_keys FROM entity JOIN rollup_1d USING (entity_key)
        WHERE fleet_id = %(fleet)s AND device_id IS NOT NULL AND window_start >= %(since)s AND window_start < %(today)s
        UNION ALL
        -- Today: the newest minute of each device shows which series it sends.
        SELECT entity_key, device_id, %(today)s, newest.metric_keys
        FROM entity CROSS JOIN LATERAL (
            SELECT metric_keys FROM rollup_1m
            WHERE rollup_1m.entity_key = entity.entity_key AND window_start >= %(today)s
            ORDER BY window_start DESC LIMIT 1
        ) AS newest
        WHERE fleet_id = %(fleet)s AND device_id IS NOT NULL
    ), named AS (
        SELECT device_id, window_start, name FROM day JOIN wanted ON metric_key = ANY(metric_keys)
        UNION ALL
        SELECT device_id, window_start, '' FROM day
    )
    SELECT NULL, name, window_start, count(*) FROM named GROUP BY name, window_start
    UNION ALL
    SELECT device_id, name, window_start, 1 FROM named WHERE device_id = ANY(%(devices)s)
"""

Days = Mapping[tuple[str | None, str], Mapping[datetime, int]]
"""How many devices sent a series on each day: all of the fleet, or a single one."""


class RuleReports(msgspec.Struct, frozen=True):
    """What became of promises."""

    store: ControlStore

    def report(self, request: AdminRequest) -> dict[str, Any]:
        """Report each version of a fleet's rules, and the defaults that have raised incidents."""
        Parameters(request.query, known=())
        since = request.now - LOOKS_BACK
        with self.store.reading() as rows:
            fleet = rows.fleet(request.path["fleet"])
            rules = _list_rules(rows, fleet.fleet_id, since)
            promises = find_all_promises(rows, fleet.fleet_id, rules)
            found = rows.connection.execute(_INCIDENTS, [fleet.fleet_id, since])
            raised = [RaisedIncident(*row) for row in found]
            days = _read_days(rows, fleet.fleet_id, rules, raised, since, request.now)
        items = []
        for rule in rules:
            saved = [
                (version, datetime.fromisoformat(promise["asked_at"]), promise)
                for (rule_id, version), promise in promises.items()
                if rule_id == rule.rule_id
            ]
            there = days.get((rule.device_id, rule.metric), {}) if _is_for(rule, fleet.device_type) else {}
            versions = follow_versions(rule.rule_id, rule.created_at, rule.archived_at, rule.version, saved)
            items += [report_version(each, raised, there, request.now) for each in versions]
        for rule_id, metric in _list_defaults(raised, days):
            items.append(
                report_version(
                    RuleVersion(rule_id=rule_id, version=1, since=since),
                    raised,
                    days.get((None, metric), {}),
                    request.now,
                )
            )
        return {"items": [item for item in items if item is not None], "next_cursor": None}


def _list_rules(rows: Rows, fleet_id: str, since: datetime) -> list[Rule]:
    """List the rules that have judged since a moment."""
    found: list[Rule] = []
    page = list_rules(rows, fleet_id, "", MOST_OF_FLEET)
    while page:
        found += [rule for rule in page if rule.archived_at is None or rule.archived_at > since]
        page = list_rules(rows, fleet_id, page[-1].rule_id, MOST_OF_FLEET)
    return found


def _read_days(
    rows: Rows, fleet_id: str, rules: list[Rule], raised: list[RaisedIncident], since: datetime, now: datetime
) -> Days:
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    asked = {
        "fleet": fleet_id,
        "since": since.replace(hour=0, minute=0, second=0, microsecond=0),
        "today": today,
        "series": sorted({rule.metric for rule in rules}),
        "defaults": sorted({_series_of_default(rule_id) for rule_id in _default_ids(raised)}),
        "devices": sorted({rule.device_id for rule in rules if rule.device_id is not None}),
    }
    found: defaultdict[tuple[str | None, str], dict[datetime, int]] = defaultdict(dict)
    for device_id, metric, day, many in rows.connection.execute(_DAYS, asked):
        found[device_id, metric][day] = many
    return found


def _is_for(rule: Rule, fleet_type: str | None) -> bool:
    """Return whether the rule is for devices of this fleet: today each has the fleet's type."""
    return rule.device_type is None or rule.device_type == fleet_type


def _list_defaults(raised: list[RaisedIncident], days: Days) -> list[tuple[str, str]]:
    """List the defaults that have raised incidents, each with its series."""
    named = {metric.replace("_", "-"): metric for device_id, metric in days if device_id is None}
    return [(rule_id, named.get(_series_of_default(rule_id), "")) for rule_id in _default_ids(raised)]


def _default_ids(raised: list[RaisedIncident]) -> list[str]:
    return sorted({one.rule_id for one in raised if one.rule_id.startswith(DEFAULT)})


def _series_of_default(rule_id: str) -> str:
    """Return the series in the id of a default, with dashes; "" of silence."""
    return rule_id.removeprefix(DEFAULT).partition("-")[2]
