"""Verdicts as detect writes them, for tests of incidents."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sluice.core.alerts.messages import StageAddress
from sluice.core.detect.verdicts import Judged, State, Verdict

START = datetime(2026, 11, 30, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SENDER = StageAddress("test", "https://api.example")
STATES: dict[str, State] = {"b": "breach", "-": "between", ".": "clear"}


def reading(position: int, state: State, *, apart: timedelta = MINUTE) -> Judged:
    """Judge a reading; its position is its number in the series."""
    why = f"{80 + position} C is above 80 C" if state == "breach" else ""
    return Judged(position, START + position * apart, 80.0 + position, state, event_id=f"event-{position}", why=why)


def readings(states: str, first: int = 0, *, apart: timedelta = MINUTE) -> tuple[Judged, ...]:
    """Judge readings in a row: b is a breach, - between, . clear."""
    return tuple(reading(first + number, STATES[state], apart=apart) for number, state in enumerate(states))


def verdict(judged: Sequence[Judged], device: str = "device-1", **changed: Any) -> Verdict:
    """Write a verdict on some readings."""
    given: dict[str, Any] = {
        "fleet_id": "fleet-1",
        "device_id": device,
        "metric": "temperature",
        "unit": "C",
        "rule_id": "hot",
        "rule_version": 1,
        "kind": "above",
        "open": 80.0,
        "clear": 75.0,
        "breaches": 1,
        "of": 1,
        "severity": "warning",
        "source": "readings",
        "partition": 3,
        "received_at": judged[-1].at if judged else START,
        "readings": tuple(judged),
        "correlation_id": "c-1",
    }
    return Verdict(**given | changed)
