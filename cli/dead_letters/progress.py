"""How far a re-drive is, in numbers and as a line."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

OVER = ("done", "cancelled", "failed")
EVERY_SECONDS = 1.0


def describe_redrive(found: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a re-drive, a line for each thing."""
    letters = found.get("letters", {})
    return {
        "re-drive": found["redrive_id"],
        "state": found["state"],
        "group": found["group_id"],
        "fleet": found["fleet_id"],
        "letters of": found["consumer"],
        "letters failed": f"{found['from']} to {found['to']}",
        "verbs": len(found["fix"]),
        "begun by": found["principal"],
        "reason": found["reason"],
        "objects read": found["objects"],
        "objects unreadable": found["unreadable"],
        "events accepted": letters.get("accepted", 0) + letters.get("accounted", 0),
        "of them accounted for": letters.get("accounted", 0),
        "still bad": letters.get("rejected", 0),
        "incomplete": letters.get("incomplete", 0),
        "passed over": found["passed_over"],
        "trouble": found["trouble"],
        "begun at": found["claimed_at"],
        "sent at": found["sent_at"],
        "ended at": found["ended_at"],
    }


def watch_until_over(ask: Callable[[], dict[str, Any]], *, quiet: bool) -> dict[str, Any]:
    """Ask again and again until a re-drive has ended, and say what changes."""
    shown = ""
    while True:
        found = ask()
        line = _say(found)
        if not quiet and line != shown:
            print(line, file=sys.stderr, flush=True)
            shown = line
        if found["state"] in OVER:
            return found
        time.sleep(EVERY_SECONDS)


def _say(found: Mapping[str, Any]) -> str:
    letters = found["letters"]
    accepted = letters["accepted"] + letters["accounted"]
    trouble = f"; {found['trouble']}" if found["trouble"] else ""
    return (
        f"{found['state']}: {accepted:,} events accepted, {letters['accounted']:,} of them accounted for,"
        f" {letters['rejected']:,} still bad{trouble}"
    )
