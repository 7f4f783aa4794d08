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
    "raised",
    "incidents",
    "device_days",
    "false_alarms",
)


def write_promise(promise: Mapping[str, Any] | None) -> str:
    """Write what a rule promised, or why that is not known."""
    if promise is None:
        return ""
    if promise["state"] != "done":
        return str(promise["state"])
    rate = promise["incidents_per_100_device_days"]
    return "no readings" if rate is None else f"{rate:g} for 100 device-days, of {promise['device_days']:,}"


def describe_version(found: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a version of a rule: rates are for 100 device-days."""
    promise = found["promise"]
    promised = None if promise is None else promise["incidents_per_100_device_days"]
    if promise is not None and promise["state"] != "done":
        promised = promise["state"]
    return {
        **found,
        "promised": promised,
        "promised_days": None if promise is None else promise["device_days"],
        "raised": found["incidents_per_100_device_days"],
    }
