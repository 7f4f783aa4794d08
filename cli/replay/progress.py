"""How far a replay is, in numbers and as a bar."""

import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

OVER = ("done", "cancelled", "failed")
STATES = ("gathering", "resending", "draining", "swapping", "verifying")
EVERY_SECONDS = 1.0
WIDTH = 30


def describe_progress(found: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a replay, a line for each thing."""
    counts = found["counts"]
    begun = found["begun_at"]
    return {
        "replay": found["replay_id"],
        "state": found["state"],
        "reason": found["reason"],
        "fleet": found["fleet_id"],
        "hours": f"{found['from']} to {found['to']}",
        "applied by": found["principal"],
        "execution": found["execution"],
        "chunks sent": _of(found["chunks"]["sent"], found["chunks"]["all"]),
        "events sent": counts.get("sent"),
        "events recounted": counts.get("recounted"),
        "hours of a shard swapped": _of(found["units"]["swapped"], found["units"]["all"]),
        "of them expired, and not changed": counts.get("units_expired"),
        "of them expired, and computed as a whole": counts.get("units_recomputed"),
        "samples removed": counts.get("removed"),
        "samples added": counts.get("added"),
        "windows marked": counts.get("windows"),
        "events counted that were not": counts.get("counted_back"),
        "windows verified": counts.get("verified"),
        "hours that expired before they were verified": counts.get("unverified_hours"),
        "days that were not merged in time": counts.get("days_behind"),
        "trouble": counts.get("trouble"),
        **{f"{state} since": begun[state] for state in (*STATES, *OVER) if state in begun},
    }


def measure(found: Mapping[str, Any]) -> tuple[float, str]:
    """Return what share of a replay is done, and what it is doing. Each state is an equal share."""
    state, counts = found["state"], found["counts"]
    if state in OVER:
        return 1.0, str(state)
    if state not in STATES:
        return 0.0, str(state)
    within, at = 0.0, ""
    if state == "gathering":
        raw, aggregate = (counts.get(f"{name}_waits_for") or 0 for name in ("raw", "aggregate"))
        at = f"raw lacks {raw:,} events, aggregate {aggregate:,}" if raw + aggregate else ""
    elif state == "resending" and found["chunks"]["all"]:
        within = found["chunks"]["sent"] / found["chunks"]["all"]
        at = f"{found['chunks']['sent']} of {found['chunks']['all']} chunks"
    elif state == "draining":
        left, sent = counts.get("drain_waits_for") or 0, counts.get("sent") or 1
        within, at = max(0.0, 1 - left / sent), f"{left:,} events left"
    elif state == "swapping" and found["units"]["all"]:
        within = found["units"]["swapped"] / found["units"]["all"]
        at = f"{found['units']['swapped']} of {found['units']['all']} hours of a shard"
    return (STATES.index(state) + within) / len(STATES), f"{state} {at}".strip()


def watch_until_over(ask: Callable[[], dict[str, Any]], *, quiet: bool) -> dict[str, Any]:
    """Ask again and again until a replay has ended, and show a bar meanwhile."""
    shown = ""
    while True:
        found = ask()
        share, at = measure(found)
        if not quiet:
            line = f"[{'#' * round(share * WIDTH):{WIDTH}}] {at}{_left(found)}"
            if sys.stdout.isatty():
                print(f"\r{line:100}", end="", flush=True)
            elif line != shown:
                print(line, flush=True)
            shown = line
        if found["state"] in OVER or found["counts"].get("trouble"):
            if not quiet and sys.stdout.isatty():
                print()
            return found
        time.sleep(EVERY_SECONDS)


def _left(found: Mapping[str, Any]) -> str:
    """Say how much longer it should take by its plan, or how far it is beyond that."""
    if found["state"] in OVER or not found["claimed_at"]:
        return ""
    passed = (datetime.now(UTC) - datetime.fromisoformat(found["claimed_at"])).total_seconds()
    left = found["plan"]["expected"]["seconds"] - passed
    return f", about {left:,.0f} s left" if left > 0 else f", {-left:,.0f} s longer than expected"


def _of(part: int, whole: int | None) -> str:
    return f"{part}" if whole is None else f"{part} of {whole}"
