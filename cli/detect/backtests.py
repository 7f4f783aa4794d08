"""Asking a stage for a backtest, and waiting for its result."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from cli.control.client import Client
from cli.control.options import check_id
from cli.stages import CommandError
from sluice.core.detect.series_rules import RuleId

OVER = ("done", "failed")
EVERY_SECONDS = 1.0
WIDTH = 30
# What a rule that was shown has beside what makes one.
SHOWN_ONLY = ("fleet_id", "state", "created_at", "archived_at", "version", "promise")
NO_UNIT = ("deviations", "share", "intervals")


def read_rule(given: str) -> str | dict[str, Any]:
    """Read which rule is to be tested: its id, or the rule in a file."""
    path = Path(given)
    if path.suffix != ".json" and not path.is_file():
        return check_id(given, RuleId, "rule")
    try:
        rule = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise CommandError(f"{given} cannot be read: {error.strerror}", 2) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"{given} is not a rule in JSON: {error}", 2) from None
    return {
        name: value
        for name, value in rule.items()
        if name not in SHOWN_ONLY and not (name == "unit" and value in NO_UNIT)
    }


def ask_backtest(client: Client, fleet: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Ask for a backtest."""
    return client.change("POST", "fleets", fleet, "backtests", body=wanted)


def watch_until_over(client: Client, asked: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Ask again and again until a backtest is over, and show how far it is meanwhile."""
    found, shown = asked, ""
    while True:
        line = _describe(found)
        if not quiet and sys.stdout.isatty():
            print(f"\r{line:80}", end="", flush=True)
        elif not quiet and line != shown:
            print(line, flush=True)
        shown = line
        if found["state"] in OVER:
            if not quiet:
                print()
            return found
        time.sleep(EVERY_SECONDS)
        found = client.get("backtests", asked["backtest_id"])


def _describe(found: Mapping[str, Any]) -> str:
    devices, rule_devices = found["devices"], found["rule_devices"]
    share = devices / rule_devices if rule_devices else 0.0
    if found["state"] == "done":
        share = 1.0
    at = f"{devices} of {rule_devices} devices" if rule_devices else ""
    return f"[{'#' * round(share * WIDTH):{WIDTH}}] {found['state']} {at}".strip()
