"""The table of backtests as admins write and read it, and the promises of rules in it."""

from collections.abc import Sequence
from typing import Any

import msgspec

from sluice.core.backtest.results import Result
from sluice.core.control.requests import AdminRequest
from sluice.core.control.rules import Rule
from sluice.core.detect.series_rules import SeriesRule
from sluice.core.errors import Refusal
from sluice.core.times import write_optional, write_time
from sluice.edge.control.store import Changes, Rows

PROMISE_DAYS = 7

_INSERT = """
    INSERT INTO backtest (fleet_id, rule_id, promised_version, rule, days, principal, asked_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING backtest_number
"""
_ROW = """
    SELECT backtest_number, fleet_id, rule_id, promised_version, rule::text, days, principal, state, tries, devices,
        rule_devices, asked_at, claimed_at, ended_at, trouble, result::text
    FROM backtest WHERE backtest_number = %s
"""
_PROMISES = """
    SELECT rule_id, promised_version, backtest_number, state, days, asked_at, trouble, result::text FROM backtest
    WHERE fleet_id = %s AND promised_version IS NOT NULL AND rule_id = ANY(%s)
    ORDER BY rule_id, promised_version
"""
_WAITING = """
    SELECT count(*) FROM backtest WHERE fleet_id = %s AND promised_version IS NULL AND state IN ('waiting', 'running')
"""


def ask_promise(changes: Changes, rule: Rule, request: AdminRequest) -> None:
    """Ask for the backtest of a saved version of a rule: its result is what that version promises."""
    insert_backtest(changes, rule.for_judging(), PROMISE_DAYS, request, rule.version)


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


def find_promises(rows: Rows, fleet_id: str, rules: Sequence[str]) -> dict[tuple[str, int], dict[str, Any]]:
    """Find what the versions of some rules promised, by rule and version."""
    found = rows.connection.execute(_PROMISES, [fleet_id, list(rules)])
    return {(rule_id, version): _describe_promise(*promise) for rule_id, version, *promise in found}


def _describe_promise(
    number: int, state: str, days: int, asked_at: Any, trouble: str, text: str | None
) -> dict[str, Any]:
    result = None if text is None else _read_result(text)
    return {
        "backtest_id": f"backtest-{number}",
        "state": state,
        "asked_at": write_time(asked_at),
        "days": days,
        "trouble": trouble,
        "devices": result and result.devices,
        "device_days": result and result.device_days,
        "incidents": result and result.incidents,
        "incidents_per_100_device_days": result and result.per_device_days(),
    }


def _describe_rule(text: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(text)
    return {name: value for name, value in found.items() if name not in ("fleet_id", "fleet_type")}


def _read_result(text: str) -> Result:
    return msgspec.json.decode(text, type=Result)
