"""Promises of rules, and what became of them, for people."""

from collections.abc import Mapping
from typing import Any

REPORT_COLUMNS = (
    "rule_id",
    "version",
    "from",
    "to",
    "promised",
    "promised_days",
    "opened",
    "incidents",
    "device_days",
    "false_alarms",
)


def write_promise(promise: Mapping[str, Any] | None) -> str:
    """Write what a rule promised, or why that is not known."""
    if promise is None:
        return ""
    if promise["state"] != "done":
        return _write_state(promise)
    rate = promise["incidents_per_100_device_days"]
    return "no readings" if rate is None else f"{rate:g} for 100 device-days, of {promise['device_days']:,}"


def describe_version(found: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a version of a rule: rates are for 100 device-days."""
    promise = found["promise"]
    promised = None if promise is None else promise["incidents_per_100_device_days"]
    if promise is not None and promise["state"] != "done":
        promised = _write_state(promise)
    return {
        **found,
        "promised": promised,
        "promised_days": None if promise is None else promise["device_days"],
        "opened": found["incidents_per_100_device_days"],
    }


def _write_state(promise: Mapping[str, Any]) -> str:
    """Write how far the backtest is, and why it failed or waits for another run."""
    state, trouble = str(promise["state"]), promise["trouble"]
    return f"{state}: {trouble}" if trouble else state
