"""The table of backtests as admins write and read it, and the promises of rules in it."""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import msgspec

from sluice.core.backtest.results import Result, rate
from sluice.core.control.requests import AdminRequest
from sluice.core.control.rules import Rule
from sluice.core.detect.series_rules import SeriesRule
from sluice.core.errors import Refusal
from sluice.core.times import write_optional, write_time
from sluice.edge.control.store import Changes, Rows

PROMISE_DAYS = 7

Promises = Mapping[tuple[str, int], dict[str, Any]]
"""What versions of rules promised, by rule and version."""

_INSERT = """
    INSERT INTO backtest (fleet_id, rule_id, promised_version, rule, days, principal, asked_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING backtest_number
"""
_ROW = """
    SELECT backtest_number, fleet_id, rule_id, promised_version, rule::text, days, principal, state, tries, devices,
        rule_devices, asked_at, claimed_at, ended_at, trouble, result::text
    FROM backtest WHERE backtest_number = %s
"""
# A result is some 30 kB, most of it incidents.
_PROMISES: LiteralString = """
    SELECT rule_id, promised_version, backtest_number, state, days, asked_at, trouble,
        (result ->> 'devices')::integer, (result ->> 'device_days')::integer, (result ->> 'incidents')::integer
    FROM backtest
    WHERE fleet_id = %(fleet)s AND promised_version IS NOT NULL
"""
_JUDGING = "AND (rule_id, promised_version) IN (SELECT * FROM unnest(%(rules)s::text[], %(versions)s::integer[]))"
_OF_RULES = "AND rule_id = ANY(%(rules)s) ORDER BY rule_id, promised_version"
_END = """
    UPDATE backtest SET state = 'failed', ended_at = %s, trouble = %s
    WHERE fleet_id = %s AND rule_id = %s AND promised_version IS NOT NULL AND state = 'waiting'
"""
_WAITING = """
    SELECT count(*) FROM backtest WHERE fleet_id = %s AND promised_version IS NULL AND state IN ('waiting', 'running')
"""


def ask_promise(changes: Changes, rule: Rule, request: AdminRequest) -> None:
    """Ask for the backtest of a saved version of a rule: its result is what that version promises."""
    end_promises(changes, rule, request, "The rule was changed before its turn.")
    insert_backtest(changes, rule.for_judging(), PROMISE_DAYS, request, rule.version)


def end_promises(changes: Changes, rule: Rule, request: AdminRequest, why: str) -> None:
    """End the promises of a rule that still wait: no one needs them any more."""
    changes.connection.execute(_END, [request.now, why, rule.fleet_id, rule.rule_id])


def insert_backtest(
    changes: Changes, rule: SeriesRule, days: int, request: AdminRequest, promised_version: int | None = None
) -> int:
    """Ask for a backtest; return its number."""
    text = msgspec.json.encode(rule).decode()
    given = [rule.fleet_id, rule.rule_id, promised_version, text, days, request.principal, request.now]
    row = changes.connection.execute(_INSERT, given).fetchone()
    assert row is not None  # noqa: S101 - an insert returns its row
    return int(row[0])


def count_waiting(rows: Rows, fleet_id: str) -> int:
    """Count the unfinished backtests of a fleet that admins asked for."""
    row = rows.connection.execute(_WAITING, [fleet_id]).fetchone()
    return int(row[0]) if row else 0


def describe_backtest(rows: Rows, name: str) -> dict[str, Any]:
    """Describe a backtest, or refuse an unknown one."""
    digits = name.removeprefix("backtest-")
    known = name.startswith("backtest-") and digits.isascii() and digits.isdecimal() and len(digits) < 10
    row = rows.connection.execute(_ROW, [int(digits)]).fetchone() if known else None
    if row is None:
        raise Refusal(404, "unknown_backtest", f"There is no backtest {name[:64]!r}.")
    number, fleet_id, rule_id, promised, rule, days, principal, state, tries, devices, rule_devices, *others = row
    asked_at, claimed_at, ended_at, trouble, result = others
    return {
        "backtest_id": f"backtest-{number}",
        "fleet_id": fleet_id,
        "rule_id": rule_id,
        "promised_version": promised,
        "rule": _describe_rule(rule),
        "days": days,
        "principal": principal,
        "state": state,
        "tries": tries,
        "devices": devices,
        "rule_devices": rule_devices,
        "asked_at": write_time(asked_at),
        "claimed_at": write_optional(claimed_at),
        "ended_at": write_optional(ended_at),
        "trouble": trouble,
        "result": None if result is None else _read_result(result).described(),
    }


def find_promises(rows: Rows, fleet_id: str, rules: Sequence[Rule]) -> Promises:
    """Find what the versions of some rules promised that judge, or judged last."""
    given = {"rules": [each.rule_id for each in rules], "versions": [each.judging_version for each in rules]}
    return _read_promises(rows, _JUDGING, fleet_id, given)


def find_all_promises(rows: Rows, fleet_id: str, rules: Sequence[Rule]) -> Promises:
    """Find what all versions of some rules promised, the first version of each first."""
    return _read_promises(rows, _OF_RULES, fleet_id, {"rules": [each.rule_id for each in rules]})


def _read_promises(rows: Rows, which: LiteralString, fleet_id: str, given: dict[str, Any]) -> Promises:
    found = rows.connection.execute(_PROMISES + which, {"fleet": fleet_id} | given)
    return {(rule_id, version): _describe_promise(*promise) for rule_id, version, *promise in found}


def _describe_promise(
    number: int,
    state: str,
    days: int,
    asked_at: Any,
    trouble: str,
    devices: int | None,
    device_days: int | None,
    incidents: int | None,
) -> dict[str, Any]:
    return {
        "backtest_id": f"backtest-{number}",
        "state": state,
        "asked_at": write_time(asked_at),
        "days": days,
        "trouble": trouble,
        "devices": devices,
        "device_days": device_days,
        "incidents": incidents,
        "incidents_per_100_device_days": None if incidents is None else rate(incidents, device_days or 0),
    }


def _describe_rule(text: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(text)
    return {name: value for name, value in found.items() if name not in ("fleet_id", "fleet_type")}


def _read_result(text: str) -> Result:
    return msgspec.json.decode(text, type=Result)
