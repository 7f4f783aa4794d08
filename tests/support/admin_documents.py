"""Answers of the admin API, made by the core as the function makes them, and checked against its contract."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from sluice.core.control.api_keys import ApiKey, KeyPeriods, NewKey, create_key, rotate_key
from sluice.core.control.audit import Act, Entry, write_entry
from sluice.core.control.destinations import NewDestination, create_destination
from sluice.core.control.fleets import NewFleet, create_fleet
from sluice.core.control.rules import NewRule, create_rule
from sluice.edge.events.schemas import load_series

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
PERIODS = KeyPeriods(timedelta(days=7), timedelta(days=90))
TIME = "2026-11-30T12:00:00.000000Z"
KEY_ID = "k" * 16
CONTRACT: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "schemas" / "admin.yaml").read_text())


def fleet(name: str = "demo", version: int = 1, **changed: Any) -> dict[str, Any]:
    """A fleet as the API shows it."""
    return create_fleet(NewFleet(name), "eu-central-1", NOW).described() | {"version": version} | changed


def key() -> dict[str, Any]:
    """A key as the API shows it."""
    return ApiKey(KEY_ID, "demo", "device", NOW).described(NOW)


def made_key(*, shown: bool = True) -> dict[str, Any]:
    """The answer to a created key."""
    made = create_key("demo", NewKey("reader"), "local", PERIODS, NOW, lambda length: "n" * length)
    return made.key.described(NOW) | _text(made.text, shown)


def rotated_key(*, shown: bool = True) -> dict[str, Any]:
    """The answer to a rotated key."""
    old = ApiKey(KEY_ID, "demo", "device", NOW)
    ending, made = rotate_key(old, "local", PERIODS, NOW, lambda length: "r" * length)
    return made.key.described(NOW) | {"replaces": ending.described(NOW)} | _text(made.text, shown)


def rule(version: int = 1, **changed: Any) -> dict[str, Any]:
    """A rule as the API shows it."""
    wanted = NewRule("hot", "above", 80, "bearing_temp", breaches=2, of=3)
    made = create_rule("demo", wanted, load_series(), NOW).described()
    return made | {"version": version, "promise": promise()} | changed


def promise(**changed: Any) -> dict[str, Any]:
    """What a rule promised."""
    return {
        "backtest_id": "backtest-7",
        "state": "done",
        "asked_at": TIME,
        "days": 7,
        "trouble": "",
        "devices": 500,
        "device_days": 3500,
        "incidents": 18,
        "incidents_per_100_device_days": 0.5,
    } | changed


def report(**changed: Any) -> dict[str, Any]:
    """A line of the report about rules."""
    return {
        "rule_id": "hot",
        "version": 2,
        "from": TIME,
        "to": None,
        "promise": promise(),
        "device_days": 120.5,
        "incidents": 3,
        "incidents_per_100_device_days": 2.4896,
        "false_alarms": 1,
    } | changed


def backtest(state: str = "waiting", **changed: Any) -> dict[str, Any]:
    """A backtest; when it is done, with a result."""
    result = {
        "from": "2026-11-23T12:00:00.000000Z",
        "to": TIME,
        "devices": 20,
        "rule_devices": 400,
        "device_days": 140,
        "windows": 201_600,
        "incidents": 1,
        "incidents_per_100_device_days": 0.7143,
        "exact": False,
        "cut": "time",
        "first_incidents": [
            {
                "opened_at": "2026-11-24T08:03:00.000000Z",
                "resolved_at": None,
                "devices": 2,
                "device_ids": ["press-1", "press-2"],
                "value": 93.25,
                "why": "93.25 degC is above the threshold of 80 degC",
            }
        ],
    }
    over = state in ("done", "failed")
    return {
        "backtest_id": "backtest-12",
        "fleet_id": "demo",
        "rule_id": "hot",
        "promised_version": None,
        "rule": {"rule_id": "hot", "kind": "above", "open": 80.0},
        "days": 7,
        "principal": "arn:aws:sts::123456789012:assumed-role/sluice-prod-admin/someone",
        "state": state,
        "tries": 0 if state == "waiting" else 1,
        "devices": 0 if state == "waiting" else 5,
        "rule_devices": None if state == "waiting" else 400,
        "asked_at": TIME,
        "claimed_at": None if state == "waiting" else TIME,
        "ended_at": TIME if over else None,
        "trouble": "",
        "result": result if state == "done" else None,
    } | changed


def destination(version: int = 1, **changed: Any) -> dict[str, Any]:
    """A destination as the API shows it."""
    wanted = NewDestination("on-call", "slack", "sluice-local-destinations/on-call")
    return create_destination(wanted, "local", NOW).described() | {"version": version} | changed


def would(action: str, target: str, **changes: tuple[Any, Any]) -> dict[str, Any]:
    """The answer to a dry run of one thing."""
    fields = {name: {"before": before, "after": after} for name, (before, after) in changes.items()}
    return {"dry_run": True, "would": [{"action": action, "target": target, "changes": fields}]}


def entries(count: int, reason: str = "größer\n\u2028") -> list[Entry]:
    """An audit."""
    made: list[Entry] = []
    for number in range(1, count + 1):
        principal = f"arn:aws:sts::123456789012:assumed-role/sluice-prod-admin/person-{number % 2}"
        before, after = {"events_per_second": number}, {"events_per_second": number + 1.5}
        act = Act(NOW, principal, "fleet.change", f"fleet/f-{number}", before, after, f"c-{number}", reason)
        made.append(write_entry(act, made[-1] if made else None))
    return made


def page(items: list[Any], cursor: str | None = None) -> dict[str, Any]:
    """A page of a list."""
    return {"items": items, "next_cursor": cursor}


def audit_items(given: list[Entry]) -> list[dict[str, Any]]:
    """Entries as the API lists them."""
    return [{"number": each.number, "entry": each.text.decode(), "hash": each.hash} for each in given]


def check(document: Any, schema: str) -> None:
    """Check a document against a schema of the contract."""
    jsonschema.Draft202012Validator(
        {"$ref": f"#/components/schemas/{schema}", "components": CONTRACT["components"]}
    ).validate(document)


def _text(text: str, shown: bool) -> dict[str, Any]:
    return {"key": text} if shown else {"key": None, "key_shown": "The first answer showed it."}
